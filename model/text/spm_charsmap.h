/* SPDX-License-Identifier: Apache-2.0 */
/* The table of a SentencePiece model's normaliser, checked before libsentencepiece follows it.
 * Internal to model/text. */
#ifndef TN_MODEL_TEXT_SPM_CHARSMAP_H
#define TN_MODEL_TEXT_SPM_CHARSMAP_H

#include "core/base/status.h"
#include "model/formats/vocab.h"

/** charsmap: NormalizerSpec.precompiled_charsmap; empty is sound. TN_INVALID when a text could lead
 * out of it. */
tn_status tn_spm_charsmap_check(tn_text charsmap, tn_error *err) TN_MUST_USE;

#endif
