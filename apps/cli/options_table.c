/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/commands.h"
#include "apps/cli/options.h"

#include <stddef.h>

const tn_cli_command tn_cli_commands[] = {
    { "run", "", 0, 0, "complete one prompt", tn_cmd_run },
    { "chat", "", 0, 0, "talk with a model at the terminal, or turn by turn from a pipe",
      tn_cmd_chat },
    { "inspect", "[PATH]", 0, 1,
      "tell what a model is, and what memory a profile needs; reads metadata only",
      tn_cmd_inspect },
    { "tokenize", "", 0, 0, "turn the text on stdin into ids, or ids into text", tn_cmd_tokenize },
    { "template", "", 0, 0, "render a chat template with a context", tn_cmd_template },
    { "plugins", "", 0, 0, "list the plugins: loaded, skipped or failed, and why", tn_cmd_plugins },
    { "explain", "", 0, 0, "show which kernel runs each node, layouts, memory and crossings",
      tn_cmd_explain },
    { "check", "", 0, 0, "hold the plugins of a profile, or one plugin, against the reference",
      tn_cmd_check },
    { "bench", "[PROFILE]...", 0, TN_CLI_MAX_LIST,
      "measure the speed of profiles, or what the machine could do", tn_cmd_bench },
    { "convert", "SRC DST", 2, 2, "make a Hugging Face directory of a GGUF file, or a GGUF file of a directory",
      tn_cmd_convert },
    { "pack", "", 0, 0, "pack the weights for a profile ahead, so that its next start is immediate",
      tn_cmd_pack },
    { "cache", "list|clear", 1, 1, "list the packed weights on disk, or remove them",
      tn_cmd_cache },
    { "help", "[COMMAND]", 0, 1, "show help, the man page or the bash completion", tn_cmd_help },
    { "version", "", 0, 0, "print the version", tn_cmd_version },
    { NULL, NULL, 0, 0, NULL, NULL },
};

#define FIELD(field)   offsetof(tn_cli_options, field)
#define GENERATE       " run chat " /* how answers are drawn; /set of chat changes these too */
#define MODEL_COMMANDS " run chat inspect tokenize template explain plugins check bench pack "

/* One row a line, however long: it is a table. */
/* clang-format off */
const tn_cli_option tn_cli_option_table[] = {
    { "profile", 0, TN_CLI_STRING, "FILE", MODEL_COMMANDS, 0, 0, FIELD(profile), 0, "run profile (YAML); docs/profile.md has its keys" },
    { "model", 0, TN_CLI_STRING, "PATH", MODEL_COMMANDS, 0, 0, FIELD(model), 0, "GGUF file or Hugging Face directory, in place of the profile's" },
    { "set", 0, TN_CLI_REPEATED, "KEY=VALUE", MODEL_COMMANDS, 0, 0, FIELD(set), 0, "change one key of the profile; may be repeated" },
    { "plugin-dir", 0, TN_CLI_STRING, "DIR", " run chat inspect explain plugins check bench pack ", 0, 0, FIELD(plugin_dir), 0, "where plugins are looked up by name" },
    { "threads", 0, TN_CLI_INT, "N", " run chat inspect explain plugins check pack ", 1, 1024, FIELD(threads), 0, "threads that compute; default: one a physical core" },
    { "no-cache", 0, TN_CLI_FLAG, NULL, " run chat ", 0, 0, FIELD(no_cache), 0, "neither use nor keep packed weights on disk" },
    { "quiet", 'q', TN_CLI_FLAG, NULL, NULL, 0, 0, FIELD(quiet), 0, "no progress, no statistics, only results and errors" },
    { "verbose", 'v', TN_CLI_FLAG, NULL, NULL, 0, 0, FIELD(verbose), 0, "also say what is being done" },
    { "json", 0, TN_CLI_FLAG, NULL, NULL, 0, 0, FIELD(json), 0, "print results as JSON" },
    { "help", 'h', TN_CLI_FLAG, NULL, NULL, 0, 0, FIELD(help), 0, "show this help" },

    { "prompt", 'p', TN_CLI_STRING, "TEXT", " run ", 0, 0, FIELD(prompt), 0, "the prompt" },
    { "file", 0, TN_CLI_STRING, "FILE", " run ", 0, 0, FIELD(file), 0, "read the prompt from a file; - is stdin" },
    { "ids", 0, TN_CLI_STRING, "1,2,3", " run ", 0, 0, FIELD(ids), 0, "the prompt as token ids; nothing is added to it" },
    { "max-tokens", 'n', TN_CLI_INT, "N", GENERATE, 1, INT32_MAX, FIELD(max_tokens), FIELD(has_max_tokens), "at most N new tokens" },
    { "greedy", 0, TN_CLI_FLAG, NULL, GENERATE, 0, 0, FIELD(greedy), 0, "always the most likely token (temperature 0)" },
    { "temperature", 0, TN_CLI_REAL, "X", GENERATE, 0, 0, FIELD(temperature), FIELD(has_temperature), "0 is greedy; higher is more varied" },
    { "top-k", 0, TN_CLI_INT, "N", GENERATE, 0, INT32_MAX, FIELD(top_k), FIELD(has_top_k), "draw from the N most likely tokens; 0 is off" },
    { "top-p", 0, TN_CLI_REAL, "X", GENERATE, 0, 0, FIELD(top_p), FIELD(has_top_p), "draw from the most likely tokens that hold X of the probability" },
    { "min-p", 0, TN_CLI_REAL, "X", GENERATE, 0, 0, FIELD(min_p), FIELD(has_min_p), "drop tokens below X times the best one's probability" },
    { "repetition-penalty", 0, TN_CLI_REAL, "X", GENERATE, 0, 0, FIELD(repetition_penalty), FIELD(has_repetition_penalty), "makes tokens of prompt and answer less likely; 1 is off" },
    { "presence-penalty", 0, TN_CLI_REAL, "X", GENERATE, 0, 0, FIELD(presence_penalty), FIELD(has_presence_penalty), "subtracted from the logits of tokens that the answer has; 0 is off" },
    { "frequency-penalty", 0, TN_CLI_REAL, "X", GENERATE, 0, 0, FIELD(frequency_penalty), FIELD(has_frequency_penalty), "the same for each time that the answer has the token; 0 is off" },
    { "logit-bias", 0, TN_CLI_BIASES, "ID=X", GENERATE, 0, 0, FIELD(logit_bias), 0, "added to the logit of a token; a list with commas, may be repeated" },
    { "seed", 0, TN_CLI_UINT64, "N", GENERATE, 0, 0, FIELD(seed), FIELD(has_seed), "seed of the random numbers: same seed, same text" },
    { "stop", 0, TN_CLI_REPEATED, "TEXT", GENERATE, 0, 0, FIELD(stop), 0, "end before this text; may be repeated" },
    { "stop-id", 0, TN_CLI_IDS, "ID", GENERATE, 0, 0, FIELD(stop_id), 0, "end after this token; a list with commas, may be repeated" },
    { "min-tokens", 0, TN_CLI_INT, "N", GENERATE, 0, INT32_MAX, FIELD(min_tokens), FIELD(has_min_tokens), "nothing but --max-tokens ends the answer before N tokens" },
    { "samples", 'N', TN_CLI_INT, "N", " run ", 1, 256, FIELD(samples), FIELD(has_samples), "N answers to the one prompt" },
    { "chat", 0, TN_CLI_FLAG, NULL, " run ", 0, 0, FIELD(chat), 0, "the prompt is a user's turn (default when the model has a chat template)" },
    { "raw", 0, TN_CLI_FLAG, NULL, " run ", 0, 0, FIELD(raw), 0, "the prompt is text to continue" },
    { "ignore-eos", 0, TN_CLI_FLAG, NULL, GENERATE, 0, 0, FIELD(ignore_eos), 0, "do not stop at the model's end tokens" },
    { "top-logits", 0, TN_CLI_INT, "K", " run ", 1, 1024, FIELD(top_logits), FIELD(has_top_logits), "report the K best raw logits of each step" },
    { "logprobs", 0, TN_CLI_INT, "K", " run ", 0, 1024, FIELD(logprobs), FIELD(has_logprobs), "report log probabilities of each step: of its token and the K best" },

    { "system", 0, TN_CLI_STRING, "TEXT", " chat ", 0, 0, FIELD(system), 0, "the system message" },

    { "template", 0, TN_CLI_FLAG, NULL, " inspect ", 0, 0, FIELD(show_template), 0, "print the chat template, byte for byte, and nothing else" },

    { "no-special", 0, TN_CLI_FLAG, NULL, " tokenize ", 0, 0, FIELD(no_special), 0, "add no BOS and do not read special tokens in the text" },
    { "decode", 0, TN_CLI_FLAG, NULL, " tokenize ", 0, 0, FIELD(decode), 0, "ids on stdin to text on stdout" },

    { "file", 0, TN_CLI_STRING, "FILE", " template ", 0, 0, FIELD(file), 0, "the template, in place of a model's; - is stdin" },
    { "context", 0, TN_CLI_STRING, "FILE", " template ", 0, 0, FIELD(context), 0, "its variables, a JSON object: messages, tools, add_generation_prompt ...; - is stdin" },
    { "graph", 0, TN_CLI_FLAG, NULL, " explain ", 0, 0, FIELD(graph), 0, "print the graph before binding" },
    { "dot", 0, TN_CLI_FLAG, NULL, " explain ", 0, 0, FIELD(dot), 0, "print the graph in Graphviz DOT" },

    { "plugin", 0, TN_CLI_STRING, "FILE", " check ", 0, 0, FIELD(plugin), 0, "check one plugin without a model: its file, descriptor, claims and numbers, and what it supports" },
    { "against", 0, TN_CLI_STRING, "NAME|PROFILE", " check ", 0, 0, FIELD(against), 0, "the reference: a host plugin, or the plugins of a profile; default cpu-ref" },
    { "only", 0, TN_CLI_STRING, "op=NAME", " check ", 0, 0, FIELD(only), 0, "check one op" },
    { "node", 0, TN_CLI_STRING, "GLOB", " check ", 0, 0, FIELD(node), 0, "check the nodes whose path matches, as in 'layer.3.*'" },
    { "seed", 0, TN_CLI_UINT64, "N", " check ", 0, 0, FIELD(seed), FIELD(has_seed), "what tokens, weights and inputs are drawn from; default 1" },
    { "junit", 0, TN_CLI_STRING, "FILE", " check ", 0, 0, FIELD(junit), 0, "also write the results as JUnit XML" },
    { "html", 0, TN_CLI_STRING, "FILE", " check ", 0, 0, FIELD(html), 0, "also write a page with the drift and the errors drawn" },
    { "repro-dir", 0, TN_CLI_STRING, "DIR", " check ", 0, 0, FIELD(repro_dir), 0, "where a file for each failing kernel is written; default: the working directory" },
    { "repro", 0, TN_CLI_STRING, "FILE", " check ", 0, 0, FIELD(repro), 0, "only the case of such a file; it needs no model" },
    { "timeout", 0, TN_CLI_INT, "SECONDS", " check ", 0, INT32_MAX, FIELD(timeout), FIELD(has_timeout), "a case that takes longer hangs; default 600; 0: no limit, and a crash is not caught (for debuggers)" },
    { "quick", 0, TN_CLI_FLAG, NULL, " check ", 0, 0, FIELD(quick), 0, "fewer tokens and cases: under a minute" },

    { "prefill", 0, TN_CLI_NUMBERS, "N,...", " bench ", 0, 0, FIELD(prefill), 0, "prompts of N tokens; 0 is none, default 512" },
    { "decode", 0, TN_CLI_NUMBERS, "N,...", " bench ", 0, 0, FIELD(decode_tokens), 0, "answers of N tokens; 0 is none, default 128" },
    { "depth", 0, TN_CLI_NUMBERS, "N,...", " bench ", 0, 0, FIELD(depth), 0, "tokens that a sequence has before, default 0" },
    { "batch", 0, TN_CLI_NUMBERS, "N,...", " bench ", 0, 0, FIELD(batch), 0, "sequences together, default 1" },
    { "threads", 0, TN_CLI_NUMBERS, "N,...", " bench ", 0, 0, FIELD(thread_list), 0, "threads that compute; default: one a physical core" },
    { "repeat", 0, TN_CLI_INT, "N", " bench ", 1, 1000, FIELD(repeat), 0, "measurements of each test, default 5" },
    { "roofline", 0, TN_CLI_FLAG, NULL, " bench ", 0, 0, FIELD(roofline), 0, "only measure memory and arithmetic of the machine" },
    { "csv", 0, TN_CLI_FLAG, NULL, " bench ", 0, 0, FIELD(csv), 0, "print CSV in place of a Markdown table" },
    { "svg", 0, TN_CLI_STRING, "FILE", " bench ", 0, 0, FIELD(svg), 0, "also draw the results as bars into FILE" },

    { "to", 0, TN_CLI_STRING, "FORM", " convert ", 0, 0, FIELD(to), 0, "hf or gguf; default: gguf where DST ends in .gguf, else the form that SRC has not" },
    { "type", 0, TN_CLI_STRING, "T", " convert ", 0, 0, FIELD(type), 0, "linears: plain, or in a directory awq, of Q4_0 and exact Q4_1; default: plain, but in GGUF codes of AWQ and GPTQ stay codes" },
    { "max-shard-size", 0, TN_CLI_STRING, "SIZE", " convert ", 0, 0, FIELD(max_shard_size), 0, "of a safetensors file, such as 500MB or 2GiB; default: 5GB" },
    { "dtype", 0, TN_CLI_STRING, "T", " convert ", 0, 0, FIELD(dtype), 0, "auto, f32, f16 or bf16; auto keeps plain tensors as they are and makes others f16" },

    { "man", 0, TN_CLI_FLAG, NULL, " help ", 0, 0, FIELD(man), 0, "print the man page of the program, or of COMMAND (roff)" },
    { "bash-completion", 0, TN_CLI_FLAG, NULL, " help ", 0, 0, FIELD(bash_completion), 0, "print the completion for bash" },
    { NULL, 0, 0, NULL, NULL, 0, 0, 0, 0, NULL },
};
