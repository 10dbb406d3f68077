#include "ingest/dumps.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"

enum { MAX_MANIFEST_BYTES = 256 << 20 };
static const uint32_t NONE = UINT32_MAX;

static const json_t *files_of(const json_t *root, const char *source)
{
    const json_t *sources = json_object_get(root, "sources");

    for (size_t i = 0; i < json_array_size(sources); i++) {
        const json_t *s = json_array_get(sources, i);
        const char *name = json_string_value(json_object_get(s, "name"));
        if (name && strcmp(name, source) == 0) return json_object_get(s, "files");
    }
    return NULL;
}

/* The first file of this digest that has no number yet. */
static struct source_file *find(struct source *s, const char *hex)
{
    uint8_t digest[32];
    struct err bad = {0};

    if (!hex || !hash_unhex(str_of(hex), digest, sizeof digest, &bad)) return NULL;
    for (size_t i = 0; i < s->nfiles; i++) {
        struct source_file *f = &s->files[i];
        if (f->number == NONE && memcmp(f->sha256, digest, sizeof digest) == 0) return f;
    }
    return NULL;
}

static int by_number(const void *a, const void *b)
{
    const struct source_file *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* From a manifest of before there were numbers: the place in the list. */
static uint64_t number_in(const json_t *file, const char *key, uint64_t fallback)
{
    const json_t *n = json_object_get(file, key);
    return json_is_integer(n) ? (uint64_t)json_integer_value(n) : fallback;
}

/* Is a file among them that the manifest does not know? */
static bool number_source(struct source *s, const json_t *known, uint64_t generation)
{
    uint64_t next = 0;
    bool fresh = false;

    for (size_t i = 0; i < s->nfiles; i++)
        s->files[i].number = NONE;
    for (size_t i = 0; i < json_array_size(known); i++) {
        const json_t *j = json_array_get(known, i);
        uint64_t number = number_in(j, "number", i);
        struct source_file *f;
        if (number >= NONE) continue;
        f = find(s, json_string_value(json_object_get(j, "sha256")));
        if (number >= next) next = number + 1;
        if (!f) continue;
        f->number = (uint32_t)number;
        f->generation = number_in(j, "generation", 1);
    }
    for (size_t i = 0; i < s->nfiles; i++) {
        if (s->files[i].number != NONE) continue;
        s->files[i].number = (uint32_t)next++;
        s->files[i].generation = generation;
        fresh = true;
    }
    qsort(s->files, s->nfiles, sizeof *s->files, by_number);
    return fresh;
}

bool dumps_number(struct source_set *set, struct err *e)
{
    struct err damaged = {0};
    json_t *root = NULL;
    const char *path;
    uint64_t before;
    bool fresh = false;

    if (!fs_join(&set->arena, set->o->dir, "manifest.json", &path, e)) return false;
    if (fs_exists(path) && !json_read_file(path, MAX_MANIFEST_BYTES, &root, &damaged)) {
        if (damaged.code == ERR_NOMEM) {
            *e = damaged;
            return false;
        }
        log_warn("dumps-numbered-anew", "reason=\"%s\"", damaged.text);
    }
    before = root ? number_in(root, "generation", 1) : 0;
    for (size_t i = 0; i < set->n; i++) {
        if (number_source(&set->v[i], files_of(root, set->v[i].o->name), before + 1)) fresh = true;
    }
    set->generation = before + fresh;
    json_decref(root);
    return true;
}
