/*
 * List: intrusive, doubly linked. The list that an object sits in is its state.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *previous;
};

/* NOLINTBEGIN(bugprone-macro-parentheses): types and names of new variables take no parentheses */
#define LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))
#define LIST_FOREACH(node, head)                                                                   \
    for (struct list *node = (head)->next; (node) != (head); (node) = (node)->next)
/* The body may remove `node`. */
#define LIST_FOREACH_SAFE(node, following, head)                                                   \
    for (struct list *node = (head)->next, *following = (node)->next; (node) != (head);            \
         (node) = (following), (following) = (node)->next)

/* NOLINTEND(bugprone-macro-parentheses) */

static inline void list_init(struct list *head)
{
    head->next = head;
    head->previous = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *node)
{
    node->next = head;
    node->previous = head->previous;
    head->previous->next = node;
    head->previous = node;
}

/* Takes `node` out of its list; `node` is then a list of its own, so twice is safe. */
static inline void list_remove(struct list *node)
{
    node->next->previous = node->previous;
    node->previous->next = node->next;
    list_init(node);
}

/* The first node of a list that is not empty. */
static inline struct list *list_first(const struct list *head)
{
    return head->next;
}

/* The first node, taken out; NULL where the list is empty. */
static inline struct list *list_take_first(struct list *head)
{
    struct list *node = head->next;
    if (node == head) {
        return NULL;
    }
    list_remove(node);
    return node;
}

#endif
