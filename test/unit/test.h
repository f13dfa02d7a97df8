/* What every cmocka program includes: the headers that cmocka wants before itself. */
#ifndef TEST_UNIT_TEST_H
#define TEST_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* An assertion that says which case of a table it was. */
static inline void assert_case(int holds, const char *what)
{
    if (!holds) {
        print_error("case: %s\n", what);
    }
    assert_true(holds);
}

#endif
