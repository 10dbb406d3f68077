/*
 * text/chat - a conversation as the token ids that a model's own chat format gives it.
 *
 * text/prompt writes one report's prompt in these formats; this writes any list of messages, id by
 * id as transformers' apply_chat_template does with add_generation_prompt, with one difference:
 * message text is always plain text, so nobody can end a turn by writing "<|im_end|>". No default
 * system message is put in where the caller gives none (SmolLM2's template does).
 *
 * Formats: chatml, llama2-chat, llama3-chat, llama3.1-chat (with the fixed dates of its template),
 * mistral-instruct, mistral-v0.3-instruct, and plain, for models that know no turns: the texts,
 * a blank line between them. llama2-chat and the Mistral formats put the system's text in front of
 * the first user's and want users and assistants to take turns.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "text/tokenizer.h"

struct chat_message {
    struct str role, content; /* role: system, user or assistant */
};
extern const char *const chat_format_names[]; /* NULL-terminated */

/* The format that "auto" stands for with this tokenizer; NULL with its error dropped when its
 * template is unknown or missing. */
const char *chat_format_of(const struct tokenizer *t);
/* Append the ids of messages[0..n) and of the beginning of the assistant's next turn. format: one
 * of chat_format_names. ERR_FORMAT names the message whose role does not fit; ERR_CONFIG where the
 * tokenizer lacks the format's tokens. */
MUST_CHECK bool chat_ids(const char *format, const struct tokenizer *t, struct tok_cache *c,
                         const struct chat_message *messages, size_t n, struct tok_ids *out,
                         struct err *e);
