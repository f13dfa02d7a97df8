/*
 * Syntax: is this text a TID, an NSID, a DID ...? Nothing is looked up or normalised.
 *
 * Ownership: slices are borrowed. Threading: pure functions. No text is too long or too strange.
 * Sources: atproto.com/specs (tid, nsid, record-key, did, handle, at-uri-scheme, lexicon), checked
 * against the protocol's interoperability lists; BCP 47 (RFC 5646) for languages.
 */
#ifndef ATPROTO_SYNTAX_H
#define ATPROTO_SYNTAX_H

#include <stdbool.h>

#include "base/slice.h"

enum {
    TID_SIZE = 13,
    NSID_SIZE_MAX = 317,
    RECORD_KEY_SIZE_MAX = 512,
    DID_SIZE_MAX = 2048
};

bool tid_is_valid(struct slice text);
bool nsid_is_valid(struct slice text);
bool record_key_is_valid(struct slice text);
bool did_is_valid(struct slice text);
bool handle_is_valid(struct slice text);
/* A DID or a handle. */
bool at_identifier_is_valid(struct slice text);
/* at://<identifier>[/<nsid>[/<record key>]], without query or fragment. */
bool at_uri_is_valid(struct slice text);
/* Any URI, by its form alone: a scheme in lower case, a colon, no white space, 8 KiB at most. */
bool uri_is_valid(struct slice text);
/* A CID as text of any multibase, version 1. */
bool cid_text_is_valid(struct slice text);
/* `<nsid>/<record key>`, split; false, with nothing written, where it is not that. */
bool record_path_split(struct slice path, struct slice *collection, struct slice *record_key);

/* The form alone: what RFC 3339 and ISO 8601 both allow, upper case, with a time zone. */
bool datetime_has_syntax(struct slice text);
/* Also a date and time that there is, not before the year 0000 in UTC. */
bool datetime_is_valid(struct slice text);

/* The form alone, without any register of subtags. */
bool language_has_syntax(struct slice text);
/* Also no variant and no extension twice (RFC 5646 part 2.2.9). */
bool language_is_valid(struct slice text);

#endif
