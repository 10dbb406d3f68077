/* Lines of the lexicon's files; see facts_lex.h. */
#include "base/mem.h"
#include "evaluate/facts_lex_impl.h"

static const char *const class_names[LEX_CLASSES] = {
    [LEX_NEG_PRE] = "neg_pre",
    [LEX_NEG_POST] = "neg_post",
    [LEX_STOP] = "stop",
    [LEX_UNSURE_PRE] = "unsure_pre",
    [LEX_UNSURE_POST] = "unsure_post",
    [LEX_NULL] = "null",
    [LEX_PLACE] = "place",
    [LEX_SEVERITY] = "severity",
    [LEX_TIME] = "time",
    [LEX_NORMAL] = "normal",
    [LEX_PRED] = "pred",
    [LEX_RECOMMEND] = "recommend",
    [LEX_MODALITY] = "modality",
    [LEX_PERIOD] = "period",
    [LEX_UNIT] = "unit",
    [LEX_IMAGE] = "image",
    [LEX_MONTH] = "month",
    [LEX_RIB] = "rib",
    [LEX_FILLER] = "filler",
    [LEX_ABBREV] = "abbrev",
    [LEX_NUMERAL] = "numeral",
    [LEX_VERB] = "verb",
    [LEX_JOIN] = "join",
    [LEX_SEQUENCE] = "sequence",
    [LEX_MOOT] = "moot",
    [LEX_MOOT_POST] = "moot_post",
    [LEX_PART] = "part",
};

/* Number of a name, a new one where it is new. UINT16_MAX on failure. */
static uint16_t name_number(struct lex_names *t, struct str name, struct err *e)
{
    for (uint16_t i = 0; i < t->n; i++)
        if (str_eq(t->v[i], name)) return i;
    if (t->n >= 4096) {
        err_set(e, ERR_LIMIT, "more than 4096 names of one kind");
        return UINT16_MAX;
    }
    if (!mem_grow((void **)&t->v, &t->cap, t->n + 1u, sizeof *t->v, e)) return UINT16_MAX;
    t->v[t->n] = name;
    return t->n++;
}

static uint16_t part_number(struct lex *l, struct str name, struct err *e)
{
    uint16_t i = name_number(&l->parts, name, e);
    if (i == UINT16_MAX) return i;
    if (i < LEX_PARTS) return i;
    err_set(e, ERR_LIMIT, "more than %u parts", LEX_PARTS);
    return UINT16_MAX;
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80 || c == '%';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The next word of a term: letters or digits, as facts_scan cuts a text. */
static struct str next_word(struct str *rest)
{
    while (rest->n && !is_word_byte(rest->p[0]) && !is_digit(rest->p[0]))
        *rest = str_sub(*rest, 1, rest->n);
    size_t n = 0;
    bool digits = rest->n && is_digit(rest->p[0]);
    while (n < rest->n && (digits ? is_digit(rest->p[n]) : is_word_byte(rest->p[n])))
        n++;
    struct str word = str_sub(*rest, 0, n);
    *rest = str_sub(*rest, n, rest->n);
    return word;
}

static bool add_role(struct lex *l, uint32_t node, struct lex_role role, struct err *e)
{
    if (!mem_grow((void **)&l->roles, &l->role_cap, l->nroles + 1u, sizeof *l->roles, e))
        return false;
    role.next = l->node_role[node];
    l->roles[l->nroles] = role;
    l->node_role[node] = l->nroles++;
    return true;
}

static bool add_term(struct lex *l, struct str term, struct lex_role role, struct err *e)
{
    struct str rest = term, word;
    uint32_t node = 0;
    size_t n = 0;
    while ((word = next_word(&rest)).n) {
        uint64_t key = lex_hash(l, word);
        uint32_t id = lex_word_of(l, key);
        if (++n > LEX_TERM_WORDS || word.n > LEX_WORD_MAX)
            return err_set(e, ERR_LIMIT, "a term has more than %u words or a word over %u bytes",
                           LEX_TERM_WORDS, LEX_WORD_MAX);
        if (!id) {
            id = l->nwords++;
            if (!lex_table_put(&l->words, key, id, e)) return false;
        }
        node = lex_grow_node(l, node, id, e);
        if (!node) return false;
    }
    if (n == 0) return err_set(e, ERR_FORMAT, "an empty term; terms are separated by one |");
    return add_role(l, node, role, e);
}

static bool add_terms(struct lex *l, struct str terms, struct lex_role role, struct err *e)
{
    struct str rest = terms, term;
    while (str_split(&rest, '|', &term))
        if (!add_term(l, term, role, e)) return false;
    return true;
}

uint64_t lex_plural_key(const struct lex *l, uint32_t value)
{
    return l->plural_keys[value];
}

bool lex_line_plural(struct lex *l, const struct str *col, struct err *e)
{
    size_t n = l->plurals.n;
    if (!mem_grow((void **)&l->plural_keys, &l->plural_cap, n + 1, sizeof *l->plural_keys, e))
        return false;
    l->plural_keys[n] = lex_key(col[1]);
    if (l->plurals.cap && lex_slot_at(&l->plurals, lex_key(col[0]))->key)
        return err_set(e, ERR_FORMAT, "a form stands twice");
    return lex_table_put(&l->plurals, lex_key(col[0]), (uint32_t)n, e);
}

/* "left:lower+middle": sides to a, zones to b. */
static bool place_value(struct lex *l, struct str value, struct lex_role *role, struct err *e)
{
    static const char *const sides[] = {"", "left", "right", "both"};
    struct str rest = value, side, zones, zone;
    uint16_t a = 0;
    if (!str_split(&rest, ':', &side)) side = (struct str){"", 0};
    while (a < 4 && !str_eqz(side, sides[a]))
        a++;
    if (a == 4) return err_set(e, ERR_FORMAT, "a side is left, right, both or nothing");
    role->a = a;
    if (!str_split(&rest, ':', &zones)) return true;
    while (zones.n && str_split(&zones, '+', &zone)) {
        uint16_t z = name_number(&l->zones, zone, e);
        if (z == UINT16_MAX) return false;
        if (z >= 32) return err_set(e, ERR_LIMIT, "more than 32 zones");
        role->b |= (uint32_t)1 << z;
    }
    return true;
}

static bool time_value(struct str value, struct lex_role *role, struct err *e)
{
    static const char *const names[] = {"", "new", "worse", "stable", "better", "old", "acute"};
    for (size_t i = 1; i < sizeof names / sizeof *names; i++)
        if (str_eqz(value, names[i])) {
            role->a = (uint16_t)i;
            return true;
        }
    return err_set(e, ERR_FORMAT, "a time is new, worse, stable, better, old or acute");
}

/* "length:25.4" */
static bool unit_value(struct lex *l, struct str value, struct lex_role *role, struct err *e)
{
    struct str rest = value, name, factor;
    if (!str_split(&rest, ':', &name) || !str_split(&rest, ':', &factor))
        return err_set(e, ERR_FORMAT, "a unit is written quantity:factor");
    role->a = name_number(&l->units, name, e);
    return role->a != UINT16_MAX && parse_f64(factor, &role->f, e);
}

static bool number_value(struct str value, uint64_t max, struct lex_role *role, struct err *e)
{
    uint64_t v;
    if (!parse_u64(value, &v, e)) return false;
    if (v > max) return err_set(e, ERR_FORMAT, "a value above %llu", (unsigned long long)max);
    role->a = (uint16_t)v;
    return true;
}

static bool word_value(struct lex *l, struct str value, struct lex_role *role, struct err *e)
{
    switch (role->cls) {
    case LEX_PLACE:
        return place_value(l, value, role, e);
    case LEX_TIME:
        return time_value(value, role, e);
    case LEX_UNIT:
        return unit_value(l, value, role, e);
    case LEX_SEVERITY:
        return number_value(value, 6, role, e);
    case LEX_PERIOD:
        return number_value(value, 3650, role, e);
    case LEX_NUMERAL:
        return number_value(value, 1000, role, e);
    case LEX_PRED:
        role->a = name_number(&l->preds, value, e);
        if (role->a != UINT16_MAX && str_eqz(value, "abnormal")) l->pred_abnormal = role->a;
        return role->a != UINT16_MAX;
    case LEX_MODALITY:
        role->a = name_number(&l->modalities, value, e);
        return role->a != UINT16_MAX;
    default:
        return value.n == 0 || err_set(e, ERR_FORMAT, "a value where none belongs");
    }
}

static bool part_line(struct lex *l, struct str region, struct str parts, struct err *e)
{
    struct str rest = parts, part;
    uint16_t at = part_number(l, region, e);
    if (at == UINT16_MAX) return false;
    while (str_split(&rest, ' ', &part)) {
        uint16_t i = part_number(l, part, e);
        if (i == UINT16_MAX) return false;
        l->part_mask[at] |= (uint64_t)1 << i;
    }
    return true;
}

bool lex_line_word(struct lex *l, const struct str *col, struct err *e)
{
    struct lex_role role = {0};
    while (role.cls < LEX_CLASSES &&
           !(class_names[role.cls] && str_eqz(col[0], class_names[role.cls])))
        role.cls++;
    if (role.cls == LEX_CLASSES) return err_set(e, ERR_FORMAT, "a class that does not exist");
    if (role.cls == LEX_PART) return part_line(l, col[1], col[2], e);
    return word_value(l, col[1], &role, e) && add_terms(l, col[2], role, e);
}

bool lex_line_anatomy(struct lex *l, const struct str *col, struct err *e)
{
    struct lex_role role = {.cls = LEX_ANATOMY, .a = l->nanatomy};
    if (!mem_grow((void **)&l->anatomy, &l->anatomy_cap, l->nanatomy + 1u, sizeof *l->anatomy, e))
        return false;
    uint16_t part = part_number(l, col[1], e);
    if (part == UINT16_MAX) return false;
    if (l->nanatomy >= 4096) return err_set(e, ERR_LIMIT, "more than 4096 lines");
    l->anatomy[l->nanatomy++] = (struct lex_anatomy){col[0], part};
    return add_terms(l, col[2], role, e);
}

static bool add_concept(struct lex *l, struct lex_concept c, struct err *e)
{
    if (l->nconcepts >= 8192) return err_set(e, ERR_LIMIT, "more than 8192 findings");
    if (!mem_grow((void **)&l->concepts, &l->concept_cap, l->nconcepts + 1u, sizeof *l->concepts,
                  e))
        return false;
    l->concepts[l->nconcepts++] = c;
    return true;
}

bool lex_line_finding(struct lex *l, const struct str *col, struct err *e)
{
    struct lex_role role = {.cls = LEX_FINDING, .a = l->nconcepts}, significance = {0};
    struct lex_concept c = {.family = name_number(&l->families, col[1], e)};
    if (c.family == UINT16_MAX) return false;
    c.part = part_number(l, col[2], e);
    if (c.part == UINT16_MAX) return false;
    if (!number_value(col[3], 3, &significance, e)) return false;
    c.significance = (uint8_t)significance.a;
    for (uint16_t i = 0; i < l->nconcepts; i++)
        if (str_eq(l->concepts[i].id, col[0])) return err_set(e, ERR_FORMAT, "an id stands twice");
    if (!arena_str(&l->a, col[0], &c.id, e)) return false;
    struct str terms = col[5];
    if (!str_split(&terms, '|', &c.name)) return err_set(e, ERR_FORMAT, "no terms");
    return add_concept(l, c, e) && add_terms(l, col[5], role, e);
}

bool lex_add_parts(struct lex *l, struct err *e)
{
    l->nfindings = l->nconcepts;
    for (uint16_t i = 0; i < l->parts.n; i++) {
        struct lex_concept c = {.part = i, .significance = 1};
        struct sbuf id;
        sbuf_init(&id, 256);
        bool ok = sbuf_printf(&id, e, "abnormal:%.*s", STR_ARG(l->parts.v[i])) &&
                  arena_str(&l->a, sbuf_str(&id), &c.id, e);
        sbuf_free(&id);
        if (!ok) return false;
        c.family = name_number(&l->families, c.id, e);
        if (c.family == UINT16_MAX || !add_concept(l, c, e)) return false;
    }
    return true;
}

static uint16_t finding_index(const struct lex *l, struct str id)
{
    uint16_t i = 0;
    while (i < l->nfindings && !str_eq(l->concepts[i].id, id))
        i++;
    return i;
}

static bool compose_what(const struct lex *l, struct str id, struct lex_compose *c, struct err *e)
{
    while (c->what < l->nanatomy && !str_eq(l->anatomy[c->what].id, id))
        c->what++;
    if (c->what < l->nanatomy) return true;
    uint16_t finding = finding_index(l, id);
    if (finding == l->nfindings) return err_set(e, ERR_FORMAT, "no such anatomy or finding");
    c->what = (uint16_t)(LEX_WHAT_FINDING | finding);
    return true;
}

static bool compose_pred(const struct lex *l, struct str id, struct lex_compose *c, struct err *e)
{
    static const struct {
        const char *name;
        uint16_t pred;
    } rows[] = {{"normal", LEX_PRED_NORMAL}, {"*", LEX_PRED_ANY}, {"old", LEX_PRED_OLD}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_eqz(id, rows[i].name)) {
            c->pred = rows[i].pred;
            return true;
        }
    while (c->pred < l->preds.n && !str_eq(l->preds.v[c->pred], id))
        c->pred++;
    return c->pred < l->preds.n || err_set(e, ERR_FORMAT, "no such predicate");
}

bool lex_line_compose(struct lex *l, const struct str *col, struct err *e)
{
    struct lex_compose c = {.concept = finding_index(l, col[2])};
    if (!mem_grow((void **)&l->compose, &l->compose_cap, l->ncompose + 1u, sizeof *l->compose, e))
        return false;
    if (l->ncompose >= 8192) return err_set(e, ERR_LIMIT, "more than 8192 lines");
    if (c.concept == l->nfindings) return err_set(e, ERR_FORMAT, "no such finding");
    if (!compose_what(l, col[0], &c, e) || !compose_pred(l, col[1], &c, e)) return false;
    l->compose[l->ncompose++] = c;
    return true;
}
