/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line. One table of commands and one of options (options_table.c) make the parser,
 * --help, the man page and the bash completion. Everything is parsed before anything runs: wrong
 * usage is exit 2 with the nearest known name.
 */
#ifndef TN_APPS_CLI_OPTIONS_H
#define TN_APPS_CLI_OPTIONS_H

#include "core/base/strbuf.h"

#include <tenon/tenon.h>

#include <stdbool.h>
#include <stdint.h>

enum { TN_CLI_MAX_LIST = 64, TN_CLI_MAX_BIASES = 1024 };
/* Keys of the profile that options set: --set, --threads, --no-cache. */
enum { TN_CLI_MAX_SETS = TN_CLI_MAX_LIST + 2 };

typedef struct tn_cli_list {
    const char *item[TN_CLI_MAX_LIST];
    int32_t n;
} tn_cli_list;

typedef struct tn_cli_ids {
    int32_t item[TN_CLI_MAX_LIST];
    int32_t n;
} tn_cli_ids;

typedef struct tn_cli_biases {
    tn_logit_bias item[TN_CLI_MAX_BIASES];
    int32_t n;
} tn_cli_biases;

/* Strings are borrowed from argv. Numbers keep "not given" as has_*. */
typedef struct tn_cli_options {
    /* every command */
    const char *profile, *model, *plugin_dir;
    tn_cli_list set;
    int32_t threads; /* 0: not given */
    bool quiet, verbose, json, help;
    bool no_cache;
    /* run */
    const char *prompt, *file, *ids;
    int32_t max_tokens, min_tokens, top_k, top_logits, logprobs, samples;
    double temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
    uint64_t seed;
    bool has_max_tokens, has_min_tokens, has_top_k, has_top_logits, has_logprobs, has_samples;
    bool has_temperature, has_top_p, has_min_p, has_seed;
    bool has_repetition_penalty, has_presence_penalty, has_frequency_penalty;
    bool greedy, chat, raw, ignore_eos;
    tn_cli_list stop;
    tn_cli_ids stop_id;
    tn_cli_biases logit_bias;
    /* chat */
    const char *system;
    /* inspect */
    bool show_template;
    /* tokenize */
    bool no_special, decode;
    /* template; its --file is run's */
    const char *context;
    /* explain */
    bool graph, dot;
    /* bench; its words are profiles */
    tn_cli_ids prefill, decode_tokens, depth, batch, thread_list;
    int32_t repeat; /* 0: not given */
    bool roofline, csv;
    const char *svg;
    /* check; its --seed is run's */
    const char *against, *only, *node, *plugin, *repro, *repro_dir, *junit, *html;
    bool quick;
    int32_t timeout;
    bool has_timeout;
    /* convert */
    const char *to, *type, *dtype, *max_shard_size;
    /* help */
    bool man, bash_completion;
    /* the words that are no options */
    tn_cli_list word;
} tn_cli_options;

typedef struct tn_cli_command {
    const char *name;
    const char *words; /* "PATH", or "" when the command takes none */
    int32_t min_words, max_words;
    const char *text;                          /* one line */
    int (*run)(const tn_cli_options *options); /* exit status */
} tn_cli_command;

enum {
    TN_CLI_FLAG = 1,
    TN_CLI_STRING,
    TN_CLI_INT,
    TN_CLI_UINT64,
    TN_CLI_REAL,
    TN_CLI_REPEATED, /* tn_cli_list */
    TN_CLI_IDS,      /* tn_cli_ids: 1,2,3, and repeated */
    TN_CLI_NUMBERS,  /* the same of any whole numbers */
    TN_CLI_BIASES,   /* tn_cli_biases: 1=0.5,2=-100, and repeated */
};

typedef struct tn_cli_option {
    const char *name;     /* without dashes */
    char letter;          /* -p, or 0 */
    int8_t kind;          /* TN_CLI_* */
    const char *value;    /* "N", "TEXT"; NULL for flags */
    const char *commands; /* " run explain " with spaces round each name; NULL: every command */
    int64_t min, max;     /* range of TN_CLI_INT */
    size_t offset;        /* field of tn_cli_options */
    size_t has_offset;    /* its has_* field, or 0 */
    const char *text;
} tn_cli_option;

/** Tables, each ending with a row whose name is NULL. */
extern const tn_cli_command tn_cli_commands[];
extern const tn_cli_option tn_cli_option_table[];

const tn_cli_command *tn_cli_find_command(const char *name);
bool tn_cli_applies(const tn_cli_option *option, const tn_cli_command *command);
/** argv[1..] after the command's name. TN_INVALID with one line for wrong usage. */
tn_status tn_cli_parse(const tn_cli_command *command, int argc, char **argv, tn_cli_options *out,
                       tn_error *err) TN_MUST_USE;

/** Texts made from the tables. command NULL: the program as a whole. */
void tn_cli_write_help(const tn_cli_command *command, tn_strbuf *out);
void tn_cli_write_man(const tn_cli_command *command, tn_strbuf *out);
void tn_cli_write_bash_completion(tn_strbuf *out);

#endif
