/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/spm_shim.h"

#include <sentencepiece_processor.h>

#include <exception>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

struct tn_spm_model {
    sentencepiece::SentencePieceProcessor processor;
};

namespace
{
/* The exception that is being handled, as a status. */
tn_status fail_of_exception(tn_error *err) noexcept
{
    try {
        throw;
    } catch (const std::bad_alloc &) {
        return tn_fail_memory(err, "the SentencePiece model");
    } catch (const std::exception &e) {
        return tn_fail(err, TN_INTERNAL, "SentencePiece failed: %.200s", e.what());
    } catch (...) {
        return tn_fail(err, TN_INTERNAL, "SentencePiece failed");
    }
}

tn_status fail_of_status(const sentencepiece::util::Status &status, tn_error *err)
{
    return tn_fail(err, TN_INVALID, "SentencePiece refuses: %.200s", status.ToString().c_str());
}
} // namespace

extern "C" tn_status tn_spm_model_create(const char *proto, size_t n, tn_spm_model **out,
                                         tn_error *err)
{
    *out = nullptr;
    try {
        auto model = std::make_unique<tn_spm_model>();
        auto status = model->processor.LoadFromSerializedProto(std::string_view(proto, n));
        if (status.ok()) {
            *out = model.release();
            return TN_OK;
        }
        return fail_of_status(status, err);
    } catch (...) {
        return fail_of_exception(err);
    }
}

extern "C" void tn_spm_model_destroy(tn_spm_model *model)
{
    delete model;
}

extern "C" tn_status tn_spm_model_encode(const tn_spm_model *model, const char *text, size_t n,
                                         tn_spm_ids_fn fn, void *ctx, tn_error *err)
{
    try {
        std::vector<int> ids;
        auto status = model->processor.Encode(std::string_view(text, n), &ids);
        if (!status.ok())
            return fail_of_status(status, err);
        return fn(ctx, ids.data(), ids.size(), err);
    } catch (...) {
        return fail_of_exception(err);
    }
}
