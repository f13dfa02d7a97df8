#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

void error_set(struct error *error, enum error_kind kind, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error->kind = kind;
    (void)vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
}
