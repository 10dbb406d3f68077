/* Words that are met for the first time: the engines that take many at once or one without end,
 * against the definition of merging and against golden ids of made-up words (tokenizers 0.23.3,
 * golden/first_words.jsonl, made by tests/support/golden/tok_first_words.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "text/tok_queue.h"
#include "tiny.h"
#include "tok_golden.h"

/* In plain mode, all the way. */
static void encodes_to(struct tok_cache *c, struct str text, const uint32_t *want, size_t n)
{
    struct tok_ids got = {0};
    struct err e = {0};

    assert_true(tokenizer_encode(c, text, TOK_PLAIN, &got, &e));
    assert_int_equal(got.n, n);
    assert_memory_equal(got.ids, want, n * sizeof(*want));
    tok_ids_free(&got);
}

/* Lowest rank, leftmost, one at a time: the definition, in n squared. */
static size_t naive(const struct tokenizer *t, const char *p, size_t n, uint32_t *id)
{
    for (size_t i = 0; i < n; i++)
        id[i] = (uint8_t)p[i];
    for (;;) {
        uint64_t best = UINT64_MAX; /* rank << 32 | product */
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            uint64_t m = tok_find_pair(t, id[i], id[i + 1]);
            if (m >> 32 < best >> 32) best = m, at = i;
        }
        if (best == UINT64_MAX) return n;
        id[at] = (uint32_t)best;
        memmove(id + at + 1, id + at + 2, (--n - at - 1) * sizeof(*id));
    }
}

/* Every three ranks become one. No tokenizer.json says so, SentencePiece scores may. */
static void make_ties(struct tokenizer *t)
{
    for (uint64_t i = 0; i <= t->pair_mask; i++)
        for (uint32_t k = 0; k < t->pairs[i].n; k++) {
            uint64_t rank = t->pairs[i].entry[k] & TOK_RANK_MASK;
            t->pairs[i].entry[k] -= rank - rank / 3;
        }
    for (uint32_t i = 0; i < 128 * 128; i++)
        t->ascii_pair[i] = tok_find_pair(t, t->byte_id[i / 128], t->byte_id[i % 128]);
    t->whole = NULL; /* it was made with the other ranks */
}

/* A vocabulary of random merges over a, b, c. */
static struct tokenizer *random_merges(struct rng_key k, bool ties)
{
    static char piece[64][8], line[60][20];
    const char *list[61] = {NULL};
    size_t n = 3;
    uint64_t turn = 0;

    for (size_t i = 0; i < 3; i++)
        snprintf(piece[i], sizeof(piece[i]), "%c", 'a' + (int)i);
    while (n < 63) {
        const char *left = piece[rng_below(k, turn++, n)], *right = piece[rng_below(k, turn++, n)];
        bool old = strlen(left) + strlen(right) > 7;
        char both[16];
        snprintf(both, sizeof(both), "%.7s%.7s", left, right);
        for (size_t i = 0; i < n; i++)
            old |= strcmp(piece[i], both) == 0;
        if (old) continue;
        snprintf(piece[n], sizeof(piece[n]), "%.7s", both);
        snprintf(line[n - 3], sizeof(line[0]), "%s %s", left, right);
        list[n - 3] = line[n - 3];
        n++;
    }
    struct tokenizer *t = tiny_open(tiny_json(list));
    if (ties) make_ties(t);
    return t;
}

static void random_word(struct rng_key k, uint64_t *turn, char *text, size_t n)
{
    uint64_t letters = 1 + rng_below(k, (*turn)++, 3);

    for (size_t i = 0; i < n; i++)
        text[i] = (char)('a' + rng_below(k, (*turn)++, letters));
}

static void test_one_word_of_any_length(void **state)
{
    (void)state;
    static char text[800];
    static uint32_t want[800];
    struct tok_bpe b = {0};
    struct err e = {0};

    for (uint64_t v = 0; v < 16; v++) {
        struct rng_key k = rng_key(1, RNG_TEST, v);
        struct tokenizer *t = random_merges(k, v % 2);
        struct tok_cache *c;
        uint64_t turn = 1000000;
        assert_true(tok_cache_open(t, &c, &e));
        for (size_t n = 1; n < 800; n = n < 70 ? n + 1 : n + 71) {
            struct tok_ids got = {0};
            random_word(k, &turn, text, n);
            size_t m = naive(t, text, n, want);
            assert_true(tok_bpe_word(t, &b, text, n, &got, &e));
            assert_int_equal(got.n, m);
            assert_memory_equal(got.ids, want, m * sizeof(*want));
            tok_ids_free(&got);
            encodes_to(c, (struct str){text, n}, want, m); /* or from the table of whole pieces */
        }
        tok_cache_close(c);
        tokenizer_close(t);
    }
    tok_bpe_free(&b);
}

/* Many short words at once: more than there are lanes, and some that a lane does not take. */
static void check_lanes(struct rng_key k, bool ties)
{
    enum { WORDS = 100 };
    static char text[WORDS][TOK_SHORT];
    static struct tok_new_word w[WORDS];
    uint32_t want[TOK_SHORT];
    uint64_t turn = 2000000;
    struct tokenizer *t = random_merges(k, ties);

    for (size_t i = 0; i < WORDS; i++) {
        w[i] = (struct tok_new_word){.p = text[i]};
        w[i].n = 1 + (uint32_t)rng_below(k, turn++, TOK_SHORT);
        random_word(k, &turn, text[i], w[i].n);
        if (i % 9 == 5) text[i][w[i].n / 2] = (char)0xC3;
    }
    for (size_t n = 0; n <= WORDS; n += n < 20 ? 1 : 40) {
        for (size_t i = 0; i < WORDS; i++)
            w[i].nids = 0;
        tok_lanes_bpe(t, w, n);
        for (size_t i = 0; i < WORDS; i++) {
            size_t m = i >= n || i % 9 == 5 ? 0 : naive(t, text[i], w[i].n, want);
            assert_int_equal(w[i].nids, m);
            assert_memory_equal(w[i].ids, want, m * sizeof(*want));
        }
    }
    tokenizer_close(t);
}

static void test_many_words_at_once(void **state)
{
    (void)state;
    for (uint64_t v = 0; v < 16; v++) {
        tok_split_plain(v & 1); /* without AVX-512 */
        check_lanes(rng_key(3, RNG_TEST, v / 2), v & 2);
    }
    tok_split_plain(false);
}

/* ---- Unigram with scores so coarse that many paths are equal */
enum { LETTERS = 5, PIECES = 90, WORD = 20 };

/* vocab is taken over. */
static struct tokenizer *open_unigram(json_t *vocab)
{
    json_t *root = json_pack(
        "{s:s, s:[], s:n, s:{s:s, s:[{s:s}, {s:s, s:s, s:s, s:b}]}, s:n,"
        " s:{s:s, s:s, s:s, s:b}, s:{s:s, s:i, s:o, s:b}}",
        "version", "1.0", "added_tokens", "normalizer", "pre_tokenizer", "type", "Sequence",
        "pretokenizers", "type", "WhitespaceSplit", "type", "Metaspace", "replacement",
        TOK_METASPACE, "prepend_scheme", "always", "split", 1, "post_processor", "decoder", "type",
        "Metaspace", "replacement", TOK_METASPACE, "prepend_scheme", "always", "split", 1, "model",
        "type", "Unigram", "unk_id", 0, "vocab", vocab, "byte_fallback", 0);
    assert_non_null(root);
    return tiny_open(root);
}

/* Pieces over "▁abc." and no "d"; scores -1 to -4 in halves. */
static struct tokenizer *coarse_unigram(struct rng_key k)
{
    static const char *const one[LETTERS] = {TOK_METASPACE, "a", "b", "c", "."};
    json_t *vocab = json_pack("[[s, f]]", "<unk>", 0.0);
    uint64_t turn = 0;

    for (int i = 0; i < PIECES; i++) {
        char piece[40] = "";
        size_t n = i < LETTERS ? 1 : 1 + rng_below(k, turn++, i % 4 == 0 ? 11 : 4);
        for (size_t b = 0; b < n; b++) {
            bool blank = i >= LETTERS && b == 0 && rng_below(k, turn++, 3) == 0;
            size_t c = i < LETTERS ? (size_t)i : blank ? 0 : 1 + rng_below(k, turn++, LETTERS - 1);
            snprintf(piece + strlen(piece), 5, "%s", one[c]);
        }
        bool old = false;
        for (size_t j = 0; j < json_array_size(vocab); j++)
            old |=
                strcmp(json_string_value(json_array_get(json_array_get(vocab, j), 0)), piece) == 0;
        double score = -1.0 - (double)rng_below(k, turn++, 7) / 2;
        if (!old) json_array_append_new(vocab, json_pack("[s, f]", piece, score));
    }
    return open_unigram(vocab);
}

/* The definition: of equal sums the one that came first, from places in order, short pieces first.
 * s begins with its blank. Appends to ids. */
static size_t naive_unigram(const struct tokenizer *t, struct str s, uint32_t *ids)
{
    double best[WORD + 2] = {0};
    size_t from[WORD + 2], n = 0;
    uint32_t by[WORD + 2], back[WORD + 2];

    for (size_t i = 1; i <= s.n; i++)
        best[i] = -1e30;
    for (size_t at = 0; at < s.n; at++) {
        bool single = false;
        for (size_t to = at + 1; to <= s.n; to++) {
            uint32_t id = tok_find_bytes(t, s.p + at, to - at);
            if (id == TOK_NO_ID || id == 0) continue;
            single |= to == at + 1;
            if (best[at] + t->score[id] > best[to])
                best[to] = best[at] + t->score[id], from[to] = at, by[to] = id;
        }
        if (!single && best[at] + t->unk_score > best[at + 1])
            best[at + 1] = best[at] + t->unk_score, from[at + 1] = at, by[at + 1] = 0;
    }
    for (size_t at = s.n; at > 0; at = from[at])
        back[n++] = by[at];
    size_t k = 0;
    for (size_t i = n; i-- > 0;)
        if (back[i] != 0 || i == n - 1 || back[i + 1] != 0) ids[k++] = back[i];
    return k;
}

static void check_unigram(struct rng_key k)
{
    enum { WORDS = 300 };
    static char text[WORDS * (WORD + 1)];
    static uint32_t want[WORDS * (WORD + 1)];
    struct tokenizer *t = coarse_unigram(k);
    struct tok_cache *c;
    struct err e = {0};
    uint64_t turn = 1000000;
    size_t n = 0, m = 0;

    for (size_t i = 0; i < WORDS; i++) {
        size_t begin = n, most = i % 10 == 0 ? WORD : 2 + rng_below(k, turn++, 13);
        text[n++] = ' ';
        while (n - begin < most) { /* a letter, or a piece without its blank */
            char letter = "abcabcabc.d"[rng_below(k, turn++, 9 + i % 3)];
            struct str s = {&letter, 1};
            if (rng_below(k, turn++, 2)) s = t->piece[1 + rng_below(k, turn++, t->n - 1)].bytes;
            for (size_t b = s.p[0] == ' '; b < s.n && n - begin < most; b++)
                text[n++] = s.p[b];
        }
        m += naive_unigram(t, (struct str){text + begin, n - begin}, want + m);
    }
    assert_true(tok_cache_open(t, &c, &e));
    for (int i = 0; i < 2; i++)
        encodes_to(c, (struct str){text, n}, want, m);
    tok_cache_close(c);
    tokenizer_close(t);
}

static void test_equal_paths(void **state)
{
    (void)state;
    for (uint64_t v = 0; v < 16; v++) {
        tok_split_plain(v & 1);
        check_unigram(rng_key(5, RNG_TEST, v / 2));
    }
    tok_split_plain(false);
}

/* Words that are the beginning of longer pieces: the tree leads on behind each (by the letter that
 * is the most frequent one), but nothing there belongs to the word. */
static void test_beginnings_of_long_pieces(void **state)
{
    enum { FROM = 12, LONG = 41 };
    (void)state;
    for (size_t shortest = FROM; shortest < LONG; shortest++) {
        json_t *vocab = json_pack("[[s, f], [s, f]]", "<unk>", 0.0, TOK_METASPACE, -2.0);
        char piece[LONG + 3] = TOK_METASPACE, text[LONG + 1] = " ";
        for (int i = 0; i < 26; i++)
            json_array_append_new(vocab, json_pack("[s#, f]", &(char){(char)('a' + i)}, 1, -3.0));
        for (size_t i = 1; i < LONG; i++)
            piece[2 + i] = text[i] = (char)(i < shortest ? 'b' + i * 7 % 25 : 'a');
        for (size_t n = shortest + 1; n <= LONG; n++)
            json_array_append_new(vocab, json_pack("[s#, f]", piece, n + 2, 9.0));
        struct tokenizer *t = open_unigram(vocab);
        struct tok_cache *c;
        struct tok_ids got = {0};
        struct err e = {0};
        assert_true(tok_cache_open(t, &c, &e));
        assert_true(tokenizer_encode(c, (struct str){text, shortest}, TOK_PLAIN, &got, &e));
        assert_int_equal(got.n, shortest);
        for (size_t i = 0; i < shortest; i++)
            assert_int_equal(got.ids[i], i ? 2 + text[i] - 'a' : 1);
        got.n = 0;
        assert_true(tokenizer_encode(c, (struct str){text, LONG}, TOK_PLAIN, &got, &e));
        assert_int_equal(got.n, 1);
        tok_ids_free(&got);
        tok_cache_close(c);
        tokenizer_close(t);
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Pushed and popped in turn; few ranks, many ranks, in order and not: always the least. */
static void check_queue(struct rng_key k, uint64_t ranks, bool order, bool lists)
{
    enum { MOST = 1500 };
    static struct tok_queue q;
    static struct tok_waiting node[MOST];
    static uint64_t heap[MOST], all[MOST];
    uint64_t turn = 0, got;
    size_t n = 0;

    tok_queue_init(&q, heap, node, lists);
    for (uint32_t i = 0; i < MOST || n > 0; i++) {
        bool push = i < MOST && (n == 0 || rng_below(k, turn++, 3) > 0);
        if (push) {
            uint64_t rank = rng_below(k, turn++, ranks), at = order ? i : rng_below(k, turn++, 50);
            tok_queue_push(&q, (uint32_t)rank, (uint32_t)at);
            all[n++] = rank << 32 | at;
            continue;
        }
        assert_true(tok_queue_pop(&q, &got));
        qsort(all, n, sizeof(*all), by_value);
        assert_true(got == all[0]);
        memmove(all, all + 1, --n * sizeof(*all));
    }
    assert_false(tok_queue_pop(&q, &got));
}

static void test_queue(void **state)
{
    (void)state;
    static const uint64_t ranks[] = {1, 7, 900, 3000, 4000000};

    for (uint64_t v = 0; v < 20; v++)
        check_queue(rng_key(4, RNG_TEST, v), ranks[v % 5], v / 5 % 2, v / 10 % 2);
}

/* Plain mode, each text in a cache of its own. */
static void check_row(const struct tokenizer *t, const json_t *row, const char *name, size_t line)
{
    struct tok_cache *c;
    struct err e = {0};

    assert_true(tok_cache_open(t, &c, &e));
    golden_ids(c, str_of(json_string_value(json_object_get(row, "text"))), TOK_PLAIN,
               json_object_get(json_object_get(row, "plain"), name), name, line);
    tok_cache_close(c);
}

static void check_family(const char *name, const char *rows)
{
    char path[200];
    size_t n, line = 1;
    struct tokenizer *t;
    struct err e = {0};
    struct str all = str_of(rows), one;

    snprintf(path, sizeof(path), "data/tokenizers/%s/tokenizer.json.gz", name);
    const char *full = testdir_shared(path);
    if (!full) skip();
    char *text = testdir_gunzip(full, &n);
    golden_no_err(tok_json_parse((struct str){text, n}, &t, &e), &e);
    free(text);
    assert_true(str_split(&all, '\n', &one)); /* what made the file */
    for (; str_split(&all, '\n', &one) && one.n > 0; line++) {
        json_t *row;
        golden_no_err(json_parse(one, "first_words.jsonl", &row, &e), &e);
        check_row(t, row, name, line);
        json_decref(row);
    }
    assert_int_equal(line, 11);
    tokenizer_close(t);
}

static void test_first_words(void **state)
{
    (void)state;
    static const char *const names[] = {
        "gpt2",         "roberta-base", "llama3.1", "modernbert-base",   "llama2",
        "mistral-v0.1", "mistral-v0.3", "t5-small", "bert-base-uncased", "bert-base-cased"};
    size_t n;
    char *rows = testdir_read(RADMILL_SOURCE "/tests/text/golden/first_words.jsonl", &n);

    assert_non_null(rows);
    for (size_t i = 0; i < 10; i++) {
        tok_split_plain(i == 4); /* one of them without AVX-512 */
        check_family(names[i], rows);
    }
    tok_split_plain(false);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_word_of_any_length),
        cmocka_unit_test(test_many_words_at_once),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_equal_paths),
        cmocka_unit_test(test_beginnings_of_long_pieces),
        cmocka_unit_test(test_first_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
