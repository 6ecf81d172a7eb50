/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/model_text.h"

#include "apps/cli/output.h"
#include "runtime/profile.h"

tn_status tn_cli_open_text(const tn_cli_options *o, tn_model_file **file, tn_tokenizer **tokenizer,
                           tn_error *err)
{
    tn_profile *profile;
    *file = NULL;
    *tokenizer = NULL;
    TN_TRY(tn_cli_need_model(o, err));
    const tn_profile_options options = {
        .path = o->profile, .model = o->model, .sets = o->set.item, .n_sets = (size_t)o->set.n
    };
    TN_TRY(tn_profile_load(&options, &profile, err));
    tn_status status = tn_model_file_open(profile->model, file, err);
    tn_profile_destroy(profile);
    if (status)
        return status;
    return tn_tokenizer_create(tn_model_file_vocab(*file), tokenizer, err);
}
