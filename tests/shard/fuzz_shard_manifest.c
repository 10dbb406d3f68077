/* A manifest that holds anything: an error or a manifest whose every string and list can be walked. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shard/corpus_kit.h"
#include "shard/shard_manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];

static void remove_all(void)
{
    struct err e = {0};
    if (!fs_remove_tree(dir, &e)) fprintf(stderr, "%s\n", e.text);
}

static size_t walk(const struct shard_manifest *m)
{
    size_t n = strlen(m->info.template_name) + strlen(m->info.inputs);
    for (size_t i = 0; i < m->nsources; i++)
        n += strlen(m->sources[i]);
    for (size_t i = 0; i < m->nmodalities; i++)
        n += strlen(m->modalities[i].name);
    for (size_t i = 0; i < m->nfiles; i++) {
        if (m->files[i].path[0] == '/' || strstr(m->files[i].path, "..")) abort();
        n += strlen(m->files[i].modality);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shard_manifest m;
    struct arena a;
    struct err e = {0};
    char path[128];

    if (!dir[0]) {
        snprintf(dir, sizeof dir, "%s/radmill-fuzz-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        if (!mkdtemp(dir)) abort();
        atexit(remove_all);
    }
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    KIT(fs_replace(path, (struct str){(const char *)data, size}, &e), &e);
    arena_init(&a, (size_t)64 << 20);
    if (shard_manifest_read(dir, &a, &m, &e))
        (void)walk(&m);
    else if (e.code == ERR_NONE)
        abort();
    arena_free(&a);
    return 0;
}
