#include "serve/ratings.h"

#include <pthread.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"

enum { ID_BYTES = 40 };

struct ratings {
    pthread_mutex_t lock;
    struct fs_append *file;
};

bool ratings_open(const char *path, struct ratings **out, struct err *e)
{
    struct ratings *r = mem_calloc(1, sizeof *r, e);

    *out = NULL;
    if (!r) return false;
    pthread_mutex_init(&r->lock, NULL);
    if (!fs_append_open(path, &r->file, e)) {
        ratings_close(r);
        return err_wrap(e, "serve.ratings");
    }
    *out = r;
    return true;
}

void ratings_close(struct ratings *r)
{
    if (!r) return;
    fs_append_close(r->file);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

/* Lengths go in too: texts that only meet at another place are another report. */
static void name_report(const struct factlabel *l, char id[ID_BYTES])
{
    const struct str texts[] = {l->findings, l->clinical, l->reference};
    struct sha256 h;
    uint8_t digest[32];
    char hex[65];

    sha256_init(&h);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        uint64_t n = texts[i].n;
        sha256_put(&h, &n, sizeof n);
        sha256_put(&h, texts[i].p, texts[i].n);
    }
    sha256_end(&h, digest);
    hash_hex(digest, sizeof digest, hex);
    (void)snprintf(id, ID_BYTES, "page:%.16s", hex);
}

bool ratings_add(struct ratings *r, struct factlabel *l, bool *refused, struct err *e)
{
    char id[ID_BYTES];
    struct sbuf b;
    bool ok;

    name_report(l, id);
    l->id = l->subject = str_of(id);
    sbuf_init(&b, FACTLABEL_LINE_MAX_BYTES);
    ok = factlabel_put(&b, l, e);
    *refused = !ok && e->code != ERR_NOMEM;
    if (ok) {
        pthread_mutex_lock(&r->lock);
        ok = fs_append_line(r->file, sbuf_str(&b), e) && fs_append_sync(r->file, e);
        pthread_mutex_unlock(&r->lock);
    }
    l->id = l->subject = (struct str){0};
    sbuf_free(&b);
    return ok || err_wrap(e, "rating");
}
