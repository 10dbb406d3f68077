#include "ingest/section_names.h"

#include <stdlib.h>

struct pair {
    const char *header, *name;
};
/* Sorted by header: bsearch. The facts of the published scripts, errors included ("ndication"). */
static const struct pair exact[] = {
    {"addendum", "addendum"},
    {"chest, two views", "findings"},
    {"clinical history", "history"},
    {"clinical indication", "indication"},
    {"clinical information", "history"},
    {"comment", "comment"},
    {"comparision", "comparison"},
    {"comparisions", "comparison"},
    {"comparison", "comparison"},
    {"comparison exam", "comparison"},
    {"comparison film", "comparison"},
    {"comparisons", "comparison"},
    {"comparrison", "comparison"},
    {"comparsion", "comparison"},
    {"conclusion", "impression"},
    {"date", "date"},
    {"exam", "examination"},
    {"examination", "examination"},
    {"findgings", "findings"},
    {"findindgs", "findings"},
    {"finding", "findings"},
    {"findings", "findings"},
    {"findings and impression", "impression"},
    {"findings/ impression", "impression"},
    {"findings/impression", "impression"},
    {"findins", "findings"},
    {"findngs", "findings"},
    {"findnings", "findings"},
    {"finidngs", "findings"},
    {"history", "history"},
    {"idication", "indication"},
    {"imoression", "impression"},
    {"imperssion", "impression"},
    {"impession", "impression"},
    {"impresion", "impression"},
    {"impression", "impression"},
    {"impressoin", "impression"},
    {"impresson", "impression"},
    {"imprression", "impression"},
    {"imprssion", "impression"},
    {"indication", "indication"},
    {"mpression", "impression"},
    {"ndication", "impression"},
    {"notification", "notification"},
    {"patient history", "history"},
    {"pfi", "history"},
    {"preamble", "preamble"},
    {"reason for exam", "indication"},
    {"reason for examination", "indication"},
    {"recommendation", "recommendations"},
    {"recommendation(s)", "recommendations"},
    {"recommendations", "recommendations"},
    {"reference exam", "comparison"},
    {"reference findings", "findings"},
    {"technique", "technique"},
    {"type of examination", "examination"},
    {"wet read", "wet read"},
    {"wetread", "wet read"},
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *const contained[] = {"impression", "findings", "history", "comparison",
                                        "addendum"};
/* A header that names the view stands in front of the findings. */
static const char *const views[] = {
    "chest",          "portable",       "pa and lateral",  "lateral and pa",
    "ap and lateral", "lateral and ap", "frontal and",     "two views",
    "frontal view",   "pa view",        "ap view",         "one view",
    "lateral view",   "bone window",    "frontal upright", "frontal semi-upright",
    "ribs",           "pa and lat",
};

static int compare(const void *key, const void *item)
{
    const struct pair *p = item;
    return str_cmp(*(const struct str *)key, str_of(p->header));
}

static bool has(struct str name, const char *part)
{
    return str_find(name, str_of(part), 0) != SIZE_MAX;
}

bool section_name_exact(struct str lower, struct str *out)
{
    const struct pair *p = bsearch(&lower, exact, COUNT(exact), sizeof *exact, compare);

    if (p) *out = str_of(p->name);
    return p != NULL;
}

bool section_name_is_view(struct str lower)
{
    for (size_t i = 0; i < COUNT(views); i++) {
        if (has(lower, views[i])) return true;
    }
    return false;
}

struct str section_name_published(struct str lower)
{
    struct str name;

    if (section_name_exact(lower, &name)) return name;
    for (size_t i = 0; i < COUNT(contained); i++) {
        if (has(lower, contained[i])) return str_of(contained[i]);
    }
    return section_name_is_view(lower) ? STR("findings") : lower;
}
