#include "identifier.h"

#include <string.h>

#include "random.h"

void tid_format(uint64_t tid, char *text)
{
    static const char alphabet[] = "234567abcdefghijklmnopqrstuvwxyz";
    for (int i = TID_LENGTH - 1; i >= 0; i--, tid >>= 5) {
        text[i] = alphabet[tid & 31];
    }
    text[TID_LENGTH] = '\0';
}

void did_format(uint64_t seed, uint32_t number, char *text)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    struct random random = {.state = seed * 0x2545f4914f6cdd1dULL + number};
    memcpy(text, "did:plc:", 8);
    for (size_t i = 8; i < DID_LENGTH; i++) {
        text[i] = alphabet[random_below(&random, 32)];
    }
    text[DID_LENGTH] = '\0';
}
