#include "sink/sqlstate.h"

#include <stddef.h>
#include <string.h>

/* Prefixes, the longer (more exact) ones first. */
static const struct {
    const char *prefix;
    enum sqlstate_class class;
} meanings[] = {
    {"23505", SQLSTATE_DONE},
    {"23503", SQLSTATE_DONE},
    {"54011", SQLSTATE_MISCONFIGURED}, /* too many columns */
    {"54023", SQLSTATE_MISCONFIGURED}, /* too many arguments */
    {"57014", SQLSTATE_SLOW},
    {"57P04", SQLSTATE_MISCONFIGURED}, /* the database was dropped */
    {"26000", SQLSTATE_STALE_PLAN},
    {"25006", SQLSTATE_OUTAGE}, /* read only: an old primary after a failover */
    {"21", SQLSTATE_ROW},
    {"22", SQLSTATE_ROW},
    {"23", SQLSTATE_ROW},
    {"27", SQLSTATE_ROW}, /* a trigger of the user's changed the row beneath us */
    {"38", SQLSTATE_ROW}, /* a function of the user's failed */
    {"39", SQLSTATE_ROW},
    {"44", SQLSTATE_ROW}, /* WITH CHECK OPTION */
    {"54", SQLSTATE_ROW}, /* 54000 index row too big, 54001 JSON too deep */
    {"P0", SQLSTATE_ROW}, /* RAISE in a trigger of the user's */
    {"0A", SQLSTATE_MISCONFIGURED},
    {"0L", SQLSTATE_MISCONFIGURED},
    {"0P", SQLSTATE_MISCONFIGURED},
    {"28", SQLSTATE_MISCONFIGURED},
    {"3D", SQLSTATE_MISCONFIGURED},
    {"3F", SQLSTATE_MISCONFIGURED},
    {"42", SQLSTATE_MISCONFIGURED},
};

enum sqlstate_class sqlstate_classify(const char *sqlstate, const char *message)
{
    if (strncmp(sqlstate, "0A000", 5) == 0 && message != NULL &&
        strstr(message, "cached plan") != NULL) {
        return SQLSTATE_STALE_PLAN;
    }
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (strncmp(sqlstate, meanings[i].prefix, strlen(meanings[i].prefix)) == 0) {
            return meanings[i].class;
        }
    }
    return SQLSTATE_OUTAGE;
}
