#include "ingest/ids.h"

#include <stdio.h>

enum { ID_BYTES = 16, MARK_BYTES = 4, MAX_RAW = 256 };

bool ids_open(const struct ingest_opts *o, struct ids *out, struct err *e)
{
    *out = (struct ids){.hashed = o->ids == INGEST_IDS_HASH};
    if (!out->hashed && o->id_key_file)
        return err_set(e, ERR_CONFIG, "corpus.id_key_file goes with ids: hash");
    if (!out->hashed) return true;
    if (!o->id_key_file)
        return err_set(e, ERR_CONFIG,
                       "corpus.ids: hash needs corpus.id_key_file, a file with a secret");
    return sha256_key_file(o->id_key_file, out->key, e);
}

/* The HMAC of a NUL-separated kind and id; an id longer than any real one by its digest. */
static void hmac_of(const struct ids *k, const char *kind, struct str raw, uint8_t out[32])
{
    char text[16 + MAX_RAW];
    size_t n = strlen(kind) + 1;
    struct hash128 h;

    if (raw.n > MAX_RAW) {
        h = hash_xxh128(raw.p, raw.n);
        raw = (struct str){(const char *)&h, sizeof h};
    }
    CHECK(n + raw.n <= sizeof text);
    memcpy(text, kind, n);
    memcpy(text + n, raw.p, raw.n);
    sha256_hmac((struct str){(const char *)k->key, sizeof k->key}, (struct str){text, n + raw.n},
                out);
}

struct str ids_of(const struct ids *k, enum ids_kind kind, struct str raw, char buf[IDS_TEXT])
{
    uint8_t digest[32];

    if (!k->hashed || raw.n == 0) return raw;
    hmac_of(k, kind == IDS_PATIENT ? "patient" : "study", raw, digest);
    hash_hex(digest, ID_BYTES, buf);
    return str_of(buf);
}

void ids_describe(const struct ids *k, char out[IDS_TEXT])
{
    uint8_t digest[32];
    char mark[2 * MARK_BYTES + 1];

    hmac_of(k, "key", STR(""), digest);
    hash_hex(digest, MARK_BYTES, mark);
    if (k->hashed)
        (void)snprintf(out, IDS_TEXT, "hash %s", mark);
    else
        (void)snprintf(out, IDS_TEXT, "keep");
}
