/*
 * synth/people - which made-up patient a report belongs to: computed, nothing is stored.
 *
 * Patient i has reports [people_first(i), people_first(i + 1)): on average reports / patients of
 * them, some none.
 */
#pragma once
#include "base/rng.h"

enum synth_archive { SYNTH_MIMIC, SYNTH_INSTITUTION };

/* Random numbers of one archive; purpose tells uses apart, index reports or patients. */
enum people_purpose {
    PEOPLE_REPORT,
    PEOPLE_SHARE,
    PEOPLE_SPLIT,
    PEOPLE_ID,
    PEOPLE_ORDER,
    PEOPLE_TRAITS
};
struct people {
    uint64_t seed, patients, reports;
    enum synth_archive archive;
};
/* patients == 0: one for 3.5 reports. */
struct people people_of(uint64_t seed, enum synth_archive archive, uint64_t patients,
                        uint64_t reports);
struct rng_key people_key(const struct people *p, enum people_purpose purpose, uint64_t index);
uint64_t people_first(const struct people *p, uint64_t patient);
uint64_t people_patient(const struct people *p, uint64_t report);
