#include "serve/serve.h"
#include "text/chat.h"

static const char *const chat_names[] = {"auto",
                                         "chatml",
                                         "llama2-chat",
                                         "llama3-chat",
                                         "llama3.1-chat",
                                         "mistral-instruct",
                                         "mistral-v0.3-instruct",
                                         "plain",
                                         NULL};

static const struct opt adapter_table[] = {
    OPT_STRING(struct serve_adapter, name, NULL, "as /v1/models and the page call it"),
    OPT_PATH(struct serve_adapter, path, NULL, "adapter folder"),
    OPT_END,
};

const struct opt serve_table[] = {
    OPT_PATH(struct serve_opts, dir, NULL, "folder of the server: log, token, link, lock"),
    OPT_STRING(struct serve_opts, address, "127.0.0.1",
               "numeric address; other than loopback needs TLS or insecure_lan"),
    OPT_U32(struct serve_opts, port, 8765, 0, 65535, "0: a free one"),
    OPT_PATH(struct serve_opts, socket, NULL,
             "a Unix socket (0600) there instead of an address: whoever may open it needs no "
             "token"),
    OPT_PATH(struct serve_opts, token_file, NULL,
             "file with the token that programs show, 16 to 256 characters; left out: one is made "
             "in dir/token"),
    OPT_PATH(struct serve_opts, tls_cert, NULL, "certificate chain (PEM)"),
    OPT_PATH(struct serve_opts, tls_key, NULL, "its key (PEM)"),
    OPT_BOOL(struct serve_opts, insecure_lan, false,
             "listen at an address other than loopback without TLS: report text and tokens pass "
             "over the network unencrypted"),
    OPT_STRS(struct serve_opts, hosts, NULL,
             "names beside localhost and address that clients may know the server by"),
    OPT_LIST(struct serve_opts, adapters, struct serve_adapter, adapter_table,
             "adapters of the base model; left out: what training left in train.dir"),
    OPT_PATH(struct serve_opts, encoder, NULL, "encoder folder for /v1/embeddings"),
    OPT_PATH(struct serve_opts, lexicon, NULL,
             "folder with the lexicon of the fact check; left out: the one built in"),
    OPT_PATH_OR(struct serve_opts, chat, "auto", chat_names,
                "format of /v1/chat/completions: auto (the tokenizer's own), a built-in one, or "
                "plain"),
    OPT_PATH(struct serve_opts, history, NULL,
             "keep findings and impressions in this folder (report text, 0600); left out: nothing "
             "is kept"),
    OPT_PATH(struct serve_opts, ratings, NULL,
             "a label file: the page asks for grades (1 to 5) and keeps them there with report and "
             "answer (0600); left out: it does not ask"),
    OPT_U32(struct serve_opts, slots, 16, 1, 1024, "sequences decoded at once"),
    OPT_U32(struct serve_opts, max_len, 2048, 16, 131072, "longest prompt and answer together"),
    OPT_U32(struct serve_opts, max_new_tokens, 256, 1, 65536,
            "longest answer of a request that does not say"),
    OPT_U32(struct serve_opts, prefill_rows, 256, 1, 65536, "most prompt tokens in one step"),
    OPT_F64(struct serve_opts, temperature, 0, 0, 2, "of requests that do not say; 0: greedy"),
    OPT_U32(struct serve_opts, max_body_kb, 1024, 1, 65536, "longest request"),
    OPT_U32(struct serve_opts, max_requests, 256, 1, 4096, "answered at once; more get a 503"),
    OPT_U32(struct serve_opts, max_connections, 512, 2, 8192, "open at once; more wait"),
    OPT_U32(struct serve_opts, rate, 1200, 0, 1000000,
            "requests a minute of one token or session; 0: any number"),
    OPT_U32(struct serve_opts, receive_s, 30, 1, 3600,
            "seconds within which a request must have arrived whole"),
    OPT_U32(struct serve_opts, idle_min, 60, 1, 10080,
            "minutes after which a session that was not used ends"),
    OPT_U32(struct serve_opts, drain_s, 30, 0, 3600,
            "seconds that requests under way get when the server is stopped"),
    OPT_END,
};
