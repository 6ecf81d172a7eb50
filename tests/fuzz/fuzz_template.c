/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a chat template, rendered for one conversation with tools under small limits: it
 * ends in UTF-8 text or in an error with a message, and twice the same.
 */
#include "model/text/template/template.h"
#include "model/text/utf8.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char conversation[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be k\\u00efnd\"},"
    "{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"Hi\"}]},"
    "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"abcdefghi\","
    "\"function\": {\"name\": \"f\", \"arguments\": {\"x\": 1, \"y\": [2.5, true]}}}]}],"
    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {}}}],"
    "\"s\": \"a b\", \"n\": -3, \"l\": [3, 1, 2], \"d\": {\"k\": 1}, \"bos_token\": \"<s>\","
    "\"add_generation_prompt\": true}";

static void check(bool ok)
{
    if (!ok)
        abort();
}

static tn_status render(const tn_template *t, const json_t *context, tn_strbuf *out, tn_error *err)
{
    const tn_template_options options = { .max_steps = 100000,
                                          .max_memory_bytes = (size_t)16 << 20,
                                          .max_output_bytes = (size_t)1 << 20,
                                          .max_depth = 200,
                                          .now = 1700000000 };
    tn_status status = tn_template_render(t, context, &options, out, err);
    check(!status || *err->text);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_t *context;
    if (!context)
        context = json_loads(conversation, 0, NULL);
    check(context != NULL);

    tn_error err = { 0 }, err2 = { 0 };
    tn_template *t;
    if (tn_template_parse((const char *)data, size, &t, &err)) {
        check(*err.text);
        return 0;
    }
    tn_strbuf out = TN_STRBUF(2 << 20), out2 = TN_STRBUF(2 << 20);
    tn_status status = render(t, context, &out, &err);
    check(render(t, context, &out2, &err2) == status && strcmp(err.text, err2.text) == 0);
    if (!status) {
        check(tn_utf8_valid_prefix(tn_strbuf_text(&out), out.len) == out.len);
        check(out.len == out2.len &&
              memcmp(tn_strbuf_text(&out), tn_strbuf_text(&out2), out.len) == 0);
    }
    tn_strbuf_deinit(&out2);
    tn_strbuf_deinit(&out);
    tn_template_destroy(t);
    return 0;
}
