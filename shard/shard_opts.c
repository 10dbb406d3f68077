#include "shard/shard.h"
#include "text/prompt.h"

const char *const shard_duplicates_names[] = {"keep", "head", "near-head", NULL};

const char *const shard_layout_names[SHARD_LAYOUTS + 1] = {"decoder", "encoder-decoder"};
static const char *const layout_names[] = {"decoder", "encoder-decoder", "auto", NULL};

const char *const shard_drop_names[SHARD_DROPS + 1] = {
    "no-split",  "superseded", "no-findings", "no-impression",
    "duplicate", "short",      "not-shorter", "long",
};

const struct opt shard_table[] = {
    OPT_PATH(struct shard_opts, dir, NULL, "folder of the token shards"),
    OPT_STRS(struct shard_opts, modality, NULL, "DICOM codes, [CT, MR]; left out: all"),
    OPT_STRS(struct shard_opts, input, "[findings]",
             "what the model sees, in this order: clinical, findings, examination, technique, "
             "comparison, background, reader (a pseudonym)"),
    OPT_PATH_OR(struct shard_opts, template, "plain", prompt_builtin_names,
                "plain, alpaca, radiology-gpt, medalpaca, chat or a file"),
    OPT_ENUM(
        struct shard_opts, layout, "auto", layout_names,
        "what a sample is: prompt and answer in one row, or input and labels apart (T5); auto: "
        "as the model needs it"),
    OPT_U32(struct shard_opts, max_tokens, 1024, 16, 131072,
            "decoder: longest sample, prompt and answer"),
    OPT_U32(struct shard_opts, max_input_tokens, 1024, 16, 131072,
            "encoder-decoder: longest input; what is longer is cut in its fields"),
    OPT_U32(struct shard_opts, max_target_tokens, 512, 2, 131072,
            "encoder-decoder: longest answer; reports with a longer one are left out, never cut"),
    OPT_U32(struct shard_opts, shard_size, 65536, 1, 1048576, "records a shard file covers"),
    OPT_ENUM(struct shard_opts, duplicates, "keep", shard_duplicates_names,
             "head: of equal texts only the first is trained on; near-head: of nearly equal ones, "
             "too (corpus.near_duplicates); for weight see train.duplicates"),
    OPT_U32(struct shard_opts, min_findings_words, 0, 0, 10000,
            "drop reports with fewer (Trienes 2023: 10, ImpressionGPT: 11)"),
    OPT_U32(struct shard_opts, min_impression_words, 0, 0, 10000,
            "drop reports with fewer (both: 2)"),
    OPT_BOOL(struct shard_opts, impression_shorter, false,
             "drop reports whose impression has as many words as the findings (Trienes 2023)"),
    OPT_BOOL(struct shard_opts, cut_communication, false,
             "end the impression before its first sentence about calls and dictation "
             "(ImpressionGPT)"),
    OPT_BOOL(struct shard_opts, drop_long, false,
             "drop reports that are too long instead of cutting their input"),
    OPT_PATH(struct shard_opts, patient_key_file, NULL,
             "secret that keys the patient groups in the shards; left out: a public constant"),
    OPT_END,
};
