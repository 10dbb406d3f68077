/*
 * cli/convert_drift - after a merge: what it did to the logits of a few fixed prompts, printed.
 *
 * The prompts are made-up report text, encoded by the model's own tokenizer. Where the base is a
 * GGUF file, or the machine has too little memory for the model in f32, it says so instead.
 */
#pragma once
#include "cli/cmd.h"
#include "text/tokenizer.h"

struct convert_drift {
    const char *base, *adapter, *merged; /* adapter: PEFT folder; merged: HF folder */
};
MUST_CHECK bool convert_drift_print(struct cmd_call *call, const struct tokenizer *tok,
                                    const struct convert_drift *x);
