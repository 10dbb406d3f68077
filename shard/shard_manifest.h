/*
 * shard/shard_manifest - shards.dir/manifest.json: which files are the data set, and what is in
 * them.
 *
 * Replaced last, by one rank; what it does not name does not exist for readers. No times, no paths
 * outside the folder: the same data set has the same manifest. It carries its own checksum, so that
 * a number that was changed in it does not pass.
 */
#pragma once
#include "shard/shard_file.h"

struct shard_manifest_file {
    const char *path; /* "CT/s00-00000-0123456789ab.h5", below the folder */
    const char *modality;
    uint64_t source, number;
    struct shard_fact fact;
};
/* A modality's run as a whole: also what no file tells (runs without any sample). */
struct shard_manifest_modality {
    const char *name;
    const char *options; /* in words, for people; NULL: none */
    uint8_t config_sha256[32], corpus_sha256[32];
    uint64_t records, dropped[SHARD_DROPS], cut, cut_tokens, unknown;
};
struct shard_manifest {
    struct shard_info info; /* dataset_digest is computed by write and checked by read */
    const char *const *sources;
    const char *const *terms; /* data-use terms of each source, "": none stated; NULL: of all */
    size_t nsources;
    struct shard_manifest_modality *modalities;
    size_t nmodalities;
    struct shard_manifest_file *files; /* by modality, source, number */
    size_t nfiles;
    uint64_t patients, seen[SHARD_SPLITS], shared_ids;
    /* Which texts are nearly one (shard/shard_groups): "groups-<key12>.h5"; NULL: none are. Not of
     * the dataset digest: no sample is another for it. */
    const char *groups;
    uint8_t groups_sha256[32];
    uint64_t groups_texts, near_seen[SHARD_SPLITS];
};

MUST_CHECK bool shard_manifest_write(const char *dir, struct shard_manifest *m, struct err *e);
/* Everything lives in the arena. Missing: "run radmill shard first". */
MUST_CHECK bool shard_manifest_read(const char *dir, struct arena *a, struct shard_manifest *out,
                                    struct err *e);
