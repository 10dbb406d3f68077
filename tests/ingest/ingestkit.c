#include "ingest/ingestkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "support/testdir.h"

struct ingestkit kit;

int ingestkit_setup(void **state)
{
    (void)state;
    memset(&kit, 0, sizeof kit);
    testdir_make();
    arena_init(&kit.arena, 64 << 20);
    log_setup(LOG_ERROR, 0);
    assert_true(comm_open_self(&kit.comm, &kit.e));
    assert_true(opt_defaults(ingest_table, &kit.arena, &kit.opts, &kit.e));
    kit.sources[0].name = "one";
    kit.sources[0].split = INGEST_SPLIT_HASH;
    kit.opts.dir = ingestkit_path("corpus");
    kit.opts.sources = (struct opt_list){kit.sources, 1};
    return 0;
}

int ingestkit_teardown(void **state)
{
    (void)state;
    fault_disarm_all();
    comm_close(kit.comm);
    arena_free(&kit.arena);
    testdir_remove();
    assert_int_equal(mem_live_blocks(), 0);
    return 0;
}

const char *ingestkit_path(const char *name)
{
    struct str out;
    assert_true(arena_str(&kit.arena, str_of(testdir_path(name)), &out, &kit.e));
    return out.p;
}

void ingestkit_run(void)
{
    if (!ingest_run(&kit.opts, kit.comm, &kit.sum, &kit.e)) fail_msg("%s", kit.e.text);
}

void ingestkit_run_fails(enum err_code code, const char *part)
{
    assert_false(ingest_run(&kit.opts, kit.comm, &kit.sum, &kit.e));
    if (kit.e.code != code || !strstr(kit.e.text, part))
        fail_msg("%s: %s", err_code_name(kit.e.code), kit.e.text);
    err_clear(&kit.e);
}

void ingestkit_each(const char *source, ingestkit_fn fn, void *ctx)
{
    struct record_corpus c;
    struct arena a;
    size_t n = 0;
    arena_init(&a, 16 << 20);
    assert_true(record_corpus_open(kit.opts.dir, &a, &c, &kit.e));
    for (size_t b = 0; b < c.nblocks; b++) {
        struct record_reader *r;
        uint8_t sha[32];
        assert_true(record_block_open(&c.blocks[b], &r, &kit.e));
        record_reader_sha256(r, sha);
        assert_memory_equal(sha, c.blocks[b].sha256, 32);
        assert_int_equal(record_reader_count(r), c.blocks[b].records);
        for (size_t i = 0; i < record_reader_count(r); i++) {
            struct record rec;
            record_reader_get(r, i, &rec);
            if (!source || strcmp(c.blocks[b].source, source) == 0) fn(&rec, n++, ctx);
        }
        record_reader_close(r);
    }
    arena_free(&a);
}

static void count_one(const struct record *r, size_t i, void *ctx)
{
    (void)r;
    (void)i;
    ++*(size_t *)ctx;
}

size_t ingestkit_count(void)
{
    size_t n = 0;
    ingestkit_each(NULL, count_one, &n);
    return n;
}

size_t ingestkit_files_with(const char *dir, const char *word)
{
    struct arena a;
    struct str *names, bytes;
    const char *path;
    size_t n, hits = 0;
    arena_init(&a, 64 << 20);
    assert_true(fs_list(dir, &a, &names, &n, &kit.e));
    for (size_t i = 0; i < n; i++) {
        assert_true(fs_join(&a, dir, names[i].p, &path, &kit.e));
        if (fs_is_dir(path)) {
            hits += ingestkit_files_with(path, word);
        } else {
            assert_true(fs_read_file(path, 16 << 20, &a, &bytes, &kit.e));
            hits += str_find(bytes, str_of(word), 0) != SIZE_MAX;
        }
    }
    arena_free(&a);
    return hits;
}
