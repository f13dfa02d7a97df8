#include "sink/pg_encoding.h"

#include <stdio.h>
#include <string.h>

bool pg_encoding_check(const char *encoding, char why[PG_TEXT_SIZE])
{
    why[0] = '\0';
    if (strcmp(encoding, "UTF8") == 0) {
        return true;
    }
    (void)snprintf(why, PG_TEXT_SIZE, /* an encoding's name is short */
                   "the encoding of the database is %.32s and has to be UTF8: make one with CREATE "
                   "DATABASE ... ENCODING 'UTF8' TEMPLATE template0 and name it in postgres.url",
                   encoding);
    return false;
}
