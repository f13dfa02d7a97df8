/*
 * PostgreSQL encoding: whether a database can hold every text of the network, which is UTF-8.
 *
 * In any other encoding the first character that it lacks is refused (22P05), in a record and in the dead
 * letter about it alike; in SQL_ASCII jsonb has no escapes above U+007F. So only UTF8 will do.
 * Threading: a pure function.
 */
#ifndef SINK_PG_ENCODING_H
#define SINK_PG_ENCODING_H

#include <stdbool.h>

#include "sink/pg_failure.h"

/* `encoding` as the parameter server_encoding says it. Where it will not do `why` says so, and what to do. */
bool pg_encoding_check(const char *encoding, char why[PG_TEXT_SIZE])
    __attribute__((warn_unused_result));

#endif
