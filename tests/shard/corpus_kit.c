#include "shard/corpus_kit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "ingest/record_late.h"

/* tests/ precedes the root in the include path: "shard/corpus_kit.h" is this folder's. */

void kit_fail(const char *file, int line, const char *what, const struct err *e)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, what, e->text);
    abort();
}

static const char *const parts[] = {"heart", "lungs", "pleura", "liver", "kidney", "spleen"};
static const char *const states[] = {"normal", "enlarged", "clear", "obscured", "small"};

/* Text of a record: a few sentences that differ from one to the next. */
static void write_texts(size_t seed, char findings[512], char impression[256])
{
    size_t n = 0, words = 3 + seed * 7 % 11;
    for (size_t k = 0; k < words; k++)
        n += (size_t)snprintf(findings + n, 512 - n, "The %s is %s.\n ", parts[(seed + k) % 6],
                              states[(seed * 3 + k) % 5]);
    snprintf(impression, 256, "1. Number %zu: %s %s.\n 2. No acute process.", seed,
             states[seed % 5], parts[seed % 6]);
}

static void put_record(struct record_writer *w, const struct kit_source *src, size_t s, size_t i,
                       kit_edit edit)
{
    static const uint8_t modality[] = {MOD_CR, MOD_CT, MOD_MR};
    char findings[512], impression[256], patient[32], study[32], text[8192];
    const char *part[SEC_COUNT] = {
        [SEC_FINDINGS] = findings, [SEC_IMPRESSION] = impression, [SEC_CLINICAL] = "Cough",
        [SEC_EXAMINATION] = "",    [SEC_TECHNIQUE] = "",          [SEC_COMPARISON] = "None",
        [SEC_BACKGROUND] = ""};
    struct record r = {.entry = i, .offset = i * 100};
    struct err e = {0};
    size_t n = 0, who = i / 2;

    write_texts(s * 1000 + i, findings, impression);
    snprintf(patient, sizeof patient, "P%zu", who);
    snprintf(study, sizeof study, "S%zu", i);
    r.patient = str_of(patient);
    r.study = str_of(study);
    r.reader = (uint64_t)(i % 7) << 40;
    r.modality = modality[i % 3];
    r.origin = ORIGIN_COLUMN;
    r.mode = (uint8_t)src->mode;
    r.split = who % 10 == 8 ? SPLIT_DEV : who % 10 == 9 ? SPLIT_TEST : SPLIT_TRAIN;
    r.hash_norm = hash_xxh128(findings, strlen(findings));
    if (edit) edit(s, i, &r, part);
    for (int k = 0; k < SEC_COUNT; k++) {
        r.section[k].offset = (uint32_t)n;
        r.section[k].length = (uint32_t)strlen(part[k]);
        memcpy(text + n, part[k], r.section[k].length);
        n += r.section[k].length;
    }
    r.text = (struct str){text, n};
    r.hash_raw = hash_xxh128(text, n);
    KIT(record_writer_put(w, &r, &e), &e);
}

static json_t *put_block(const char *dir, const struct kit_source *src, size_t s, size_t from,
                         kit_edit edit)
{
    static const uint8_t config[32] = {1};
    size_t to = from + src->per_block < src->records ? from + src->per_block : src->records;
    char rel[128], path[1200], hex[65];
    uint8_t sha[32];
    struct record_writer *w = NULL;
    struct err e = {0};

    snprintf(rel, sizeof rel, "records/%s/b%06zu.h5", src->name, from);
    snprintf(path, sizeof path, "%s/records/%s", dir, src->name);
    KIT(fs_mkdirs(path, &e), &e);
    snprintf(path, sizeof path, "%s/%s", dir, rel);
    KIT(record_writer_open(path, src->name, from, config, &w, &e), &e);
    for (size_t i = from; i < to; i++)
        put_record(w, src, s, i, edit);
    if (to == src->records || (src->per_dump && to / src->per_block % src->per_dump == 0))
        record_writer_last(w);
    KIT(record_writer_commit(w, &e), &e);
    record_writer_sha256(w, sha);
    record_writer_close(w);
    hash_hex(sha, 32, hex);
    return json_pack("{s:s,s:i,s:i,s:s}", "path", rel, "source", (int)s, "records",
                     (int)(to - from), "sha256", hex);
}

void kit_corpus(const char *dir, const struct kit_source *sources, size_t n, kit_edit edit)
{
    json_t *blocks = json_array(), *list = json_array(), *root;
    char path[1200], hex[65];
    uint8_t digest[32];
    struct sha256 h;
    struct err e = {0};

    sha256_init(&h);
    for (size_t s = 0; s < n; s++) {
        json_array_append_new(list, json_pack("{s:s}", "name", sources[s].name));
        for (size_t from = 0; from < sources[s].records; from += sources[s].per_block) {
            json_t *b = put_block(dir, &sources[s], s, from, edit);
            uint8_t sha[32];
            struct str text;
            KIT(json_get_str(b, "sha256", &text, &e), &e);
            KIT(hash_unhex(text, sha, 32, &e), &e);
            sha256_put(&h, sha, 32);
            json_array_append_new(blocks, b);
        }
    }
    sha256_end(&h, digest);
    hash_hex(digest, 32, hex);
    root = json_pack("{s:s,s:s,s:o,s:o}", "schema", "corpus/v1", "digest", hex, "sources", list,
                     "blocks", blocks);
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    KIT(json_write_file(path, root, &e), &e);
    json_decref(root);
}

void kit_near(const char *dir, const struct record_near *v, size_t n)
{
    struct record_late late = {.near = (struct record_near *)(uintptr_t)v, .nnear = n};
    char path[1200], name[RECORD_LATE_NAME], hex[65];
    uint8_t sha[32], digest[32];
    json_t *root = NULL, *block;
    struct sha256 h;
    struct err e = {0};
    size_t i;

    snprintf(path, sizeof path, "%s/manifest.json", dir);
    KIT(json_read_file(path, 1 << 20, &root, &e), &e);
    sha256_init(&h);
    json_array_foreach(json_object_get(root, "blocks"), i, block)
    {
        struct str text;
        KIT(json_get_str(block, "sha256", &text, &e) && hash_unhex(text, sha, 32, &e), &e);
        sha256_put(&h, sha, 32);
        late.n += (size_t)json_integer_value(json_object_get(block, "records"));
    }
    late.flags = calloc(late.n + 1, sizeof *late.flags);
    KIT(record_late_write(dir, &late, name, sha, &e), &e);
    free(late.flags);
    sha256_put(&h, sha, 32);
    sha256_end(&h, digest);
    hash_hex(sha, 32, hex);
    json_object_set_new(root, "late", json_pack("{s:s,s:s}", "path", name, "sha256", hex));
    json_object_set_new(root, "near_duplicates", json_real(0.8));
    hash_hex(digest, 32, hex);
    json_object_set_new(root, "digest", json_string(hex));
    KIT(json_write_file(path, root, &e), &e);
    json_decref(root);
}

/* The GPT-2 alphabet: printable bytes stand for themselves, others for 256 and up. */
static unsigned byte_char(unsigned b)
{
    unsigned n = 256;
    if ((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255)) return b;
    for (unsigned k = 0; k < b; k++)
        n += !((k >= 33 && k <= 126) || (k >= 161 && k <= 172) || (k >= 174 && k <= 255));
    return n;
}

void kit_tokenizer(const char *dir, unsigned extra)
{
    json_t *vocab = json_object(), *added = json_array(), *root;
    char path[1200], key[32];
    struct err e = {0};

    for (unsigned b = 0; b < 256; b++) {
        unsigned c = byte_char(b);
        if (c < 0x80)
            snprintf(key, sizeof key, "%c", (int)c);
        else
            snprintf(key, sizeof key, "%c%c", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 0x3f)));
        json_object_set_new(vocab, key, json_integer(b));
    }
    for (unsigned k = 0; k < extra; k++) {
        snprintf(key, sizeof key, "unused%u", k);
        json_object_set_new(vocab, key, json_integer(258 + (int)k));
    }
    for (unsigned k = 0; k < 2; k++) {
        snprintf(key, sizeof key, "%s", k ? "</s>" : "<s>");
        json_array_append_new(added, json_pack("{s:i,s:s,s:b,s:b,s:b,s:b,s:b}", "id", 256 + (int)k,
                                               "content", key, "single_word", 0, "lstrip", 0,
                                               "rstrip", 0, "normalized", 0, "special", 1));
    }
    root =
        json_pack("{s:s,s:n,s:n,s:o,s:n,s:{s:s,s:b,s:b,s:b},s:n,s:{s:s,s:b,s:b,s:b},"
                  "s:{s:s,s:n,s:n,s:n,s:n,s:b,s:b,s:b,s:o,s:[]}}",
                  "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer",
                  "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1,
                  "use_regex", 1, "post_processor", "decoder", "type", "ByteLevel",
                  "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model", "type", "BPE",
                  "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
                  "fuse_unk", 0, "byte_fallback", 0, "ignore_merges", 0, "vocab", vocab, "merges");
    KIT(fs_mkdirs(dir, &e), &e);
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    KIT(json_write_file(path, root, &e), &e);
    json_decref(root);
    root = json_pack("{s:s,s:s}", "bos_token", "<s>", "eos_token", "</s>");
    snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
    KIT(json_write_file(path, root, &e), &e);
    json_decref(root);
}

struct shard_opts kit_opts(const char *dir)
{
    static struct arena a; /* never freed: one block of it stays */
    static struct shard_opts defaults;
    struct shard_opts o;
    struct err e = {0};

    if (!defaults.max_tokens) {
        arena_init(&a, 1 << 20);
        KIT(opt_defaults(shard_table, &a, &defaults, &e), &e);
    }
    o = defaults;
    o.dir = dir;
    o.shard_size = 40;
    return o;
}

/* Files of the folder walked now. */
static struct {
    char *path[4096];
    size_t n, root;
} walk;

static int visit(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st;
    (void)f;
    const char *name = path + walk.root;
    if (type != FTW_F || strcmp(name, "status.json") == 0 || strcmp(name, ".lock") == 0) return 0;
    if (walk.n == 4096) return 1;
    walk.path[walk.n++] = strdup(path);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void kit_digest(const char *dir, uint8_t out[32])
{
    struct sha256 h;
    struct err e = {0};

    walk.n = 0;
    walk.root = strlen(dir) + 1;
    KIT(nftw(dir, visit, 16, FTW_PHYS) == 0, &e);
    qsort(walk.path, walk.n, sizeof *walk.path, by_name);
    sha256_init(&h);
    for (size_t i = 0; i < walk.n; i++) {
        uint8_t sum[32];
        KIT(sha256_file(walk.path[i], sum, &e), &e);
        sha256_put(&h, walk.path[i] + walk.root, strlen(walk.path[i] + walk.root) + 1);
        sha256_put(&h, sum, sizeof sum);
        free(walk.path[i]);
    }
    sha256_end(&h, out);
}
