#include "synth/planted.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/rng.h"

const char *const planted_kind_names[PLANTED_KINDS + 1] = {"date", "phone", "number", "email",
                                                           "name"};

/* Marks: d day, m month, y year, Y its last two digits, M month's name, s its short form, # a digit
 * (the first of a run is not 0), N surname, F first name, n surname in lower case, U in capitals,
 * h host. Everything else stands for itself; "\1" begins and "\2" ends the identifier. */
static const char *const dates[] = {
    "Comparison is made to \1m/d/y\2.",
    "Compared with the study of \1m-d-y\2 at 9:14.",
    "Prior CT dated \1M d, y\2 was viewed.",
    "Seen on \1y-m-d\2, unchanged.",
    "COMPARISON: Chest film \1m/d/Y\2.",
    "Follow-up of the study of \1d s y\2.",
    "Stable since \1s y\2.",
    "Read on \1d.m.y\2 by the resident.",
    "As on \1M d\2, no effusion is seen.",
    "Since \1m/d\2 the line has been moved.",
    "As on the \1dth of M\2, no change.",
    "Stable since the \1spring of y\2.",
};
static const char *const phones[] = {
    "Please call \1(###) ###-####\2 with questions.",
    "Discussed by phone at \1###-###-####\2.",
    "Results were called to \1###.###.####\2.",
    "Paged at \1#####\2 without answer.",
    "Call extension \1####\2 for a copy.",
    "The office (\1###-####\2) was told.",
    "Beeper \1#####\2 was called at 9:14 AM.",
    "Reading room: x\1#####\2.",
    "Call \1### ### ####\2 for the addendum.",
    "Call \1four one four seven\2 for a copy.",
};
static const char *const numbers[] = {
    "MRN: \1#######\2, seen in clinic.",      "Accession \1########\2 was reviewed.",
    "Patient \1##########\2 was positioned.", "Medical record #\1#####\2.",
    "See report \1#########\2 of this date.", "Unit number \1###-##-##\2 noted.",
    "Study \1A#######\2 is compared.",        "Account: \1######\2.",
};
static const char *const mails[] = {
    "Send images to \1n@h.org\2.",
    "Contact \1F.N@h.edu\2 for a copy.",
    "Questions: \1n##@h.com\2, please.",
    "Write to \1n at h dot org\2.",
};
static const char *const names[] = {
    "Discussed with Dr. \1N\2 at 9:14 AM.",
    "Findings were told to Dr. \1F N\2.",
    "Dictated by \1F N\2, M.D.",
    "Read by \1F N\2 MD, attending.",
    "DISCUSSED WITH DR. \1U\2 BY TELEPHONE.",
    "Seen together with Dr \1N\2.",
    "Mr. \1N\2 is a 60-year-old man.",
    "Per \1n\2, the line was withdrawn.",
    "The nurse, \1F N\2, was told.",
    "Dr. \1N\2 and resident agree.",
};

struct filler {
    struct rng_key key;
    uint64_t next;
    struct sbuf *to;
};

static uint64_t below(struct filler *f, uint64_t n)
{
    return rng_below(f->key, f->next++, n);
}

static const char *one_of(struct filler *f, const char *const *list, uint64_t n)
{
    return list[below(f, n)];
}

static bool put_word(struct filler *f, const char *word, char how, struct err *e)
{
    for (size_t i = 0; word[i]; i++) {
        char c = word[i];
        if (how == 'U' && c >= 'a' && c <= 'z') c = (char)(c - 'a' + 'A');
        if (how == 'n' && c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        if (how == 's' && i == 3) break;
        if (!sbuf_putc(f->to, c, e)) return false;
    }
    return true;
}

static bool put_mark(struct filler *f, char mark, bool first, struct err *e)
{
    static const char *const surnames[] = {"Smith",  "Okafor", "Lindqvist", "Marquez",
                                           "Abbott", "Tanaka", "Ferreira",  "Novak"};
    static const char *const first_names[] = {"Jane", "Omar", "Ingrid", "Luis", "Mei", "Paul"};
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    static const char *const hosts[] = {"generalhospital", "imaging.example", "clinic"};

    switch (mark) {
    case 'd':
        return sbuf_printf(f->to, e, "%u", (unsigned)below(f, 28) + 1);
    case 'm':
        return sbuf_printf(f->to, e, "%u", (unsigned)below(f, 12) + 1);
    case 'y':
        return sbuf_printf(f->to, e, "%u", 2001 + (unsigned)below(f, 24));
    case 'Y':
        return sbuf_printf(f->to, e, "%02u", 1 + (unsigned)below(f, 24));
    case 'M':
    case 's':
        return put_word(f, one_of(f, months, 12), mark, e);
    case '#':
        return sbuf_printf(f->to, e, "%u",
                           first ? 1 + (unsigned)below(f, 9) : (unsigned)below(f, 10));
    case 'F':
        return put_word(f, one_of(f, first_names, 6), mark, e);
    case 'h':
        return put_word(f, one_of(f, hosts, 3), mark, e);
    default:
        return put_word(f, one_of(f, surnames, 8), mark, e);
    }
}

/* Marks are looked at only within the identifier, and letters only where no letter is beside. */
static bool is_mark(const char *p, const char *begin)
{
    bool alone = p == begin || !((p[-1] >= 'a' && p[-1] <= 'z') || (p[-1] >= 'A' && p[-1] <= 'Z'));
    bool ends = !((p[1] >= 'a' && p[1] <= 'z') || (p[1] >= 'A' && p[1] <= 'Z')) ||
                (p[0] == 'd' && p[1] == 't');

    return *p == '#' || (strchr("dmyYMsNFnUh", *p) && alone && ends);
}

bool planted_put(uint64_t seed, uint64_t i, struct sbuf *text, struct planted *out, struct err *e)
{
    static const struct {
        const char *const *forms;
        size_t n;
    } kinds[PLANTED_KINDS] = {
        {dates, sizeof dates / sizeof *dates},       {phones, sizeof phones / sizeof *phones},
        {numbers, sizeof numbers / sizeof *numbers}, {mails, sizeof mails / sizeof *mails},
        {names, sizeof names / sizeof *names},
    };
    struct filler f = {rng_key(seed, RNG_SYNTH, 0x706c616e74 + i), 0, text};
    size_t start = text->n;
    const char *form;
    bool inside = false;

    out->kind = (enum planted_kind)(i % PLANTED_KINDS);
    form = one_of(&f, kinds[out->kind].forms, kinds[out->kind].n);
    for (const char *p = form; *p; p++) {
        bool ok = true;
        if (*p == '\1') {
            inside = true;
            out->begin = text->n - start;
        } else if (*p == '\2') {
            inside = false;
            out->end = text->n - start;
        } else if (inside && is_mark(p, form)) {
            ok = put_mark(&f, *p, p[-1] != '#', e);
        } else {
            ok = sbuf_putc(text, *p, e);
        }
        if (!ok) return false;
    }
    return true;
}

bool planted_write(const char *path, uint64_t seed, uint64_t n, struct err *e)
{
    struct fs_writer *w = NULL;
    struct sbuf text, line;
    struct planted p = {0};
    bool ok = false;

    sbuf_init(&text, 4096);
    sbuf_init(&line, 16384);
    if (!fs_writer_open(path, &w, e)) goto out;
    for (uint64_t i = 0; i < n; i++) {
        sbuf_clear(&text);
        sbuf_clear(&line);
        if (!planted_put(seed, i, &text, &p, e)) goto out;
        if (!sbuf_printf(&line, e, "{\"kind\": \"%s\", \"text\": ", planted_kind_names[p.kind]) ||
            !json_put_str(&line, sbuf_str(&text), false, e) ||
            !sbuf_printf(&line, e, ", \"begin\": %zu, \"end\": %zu}\n", p.begin, p.end) ||
            !fs_writer_put(w, line.p, line.n, e))
            goto out;
    }
    ok = fs_writer_commit(w, e);
out:
    fs_writer_close(w);
    sbuf_free(&line);
    sbuf_free(&text);
    return ok;
}
