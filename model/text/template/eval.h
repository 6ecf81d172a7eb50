/* SPDX-License-Identifier: Apache-2.0 */
/* Running the tree. */
#ifndef TN_MODEL_TEXT_TEMPLATE_EVAL_H
#define TN_MODEL_TEXT_TEMPLATE_EVAL_H

#include "model/text/template/ast.h"
#include "model/text/template/function.h"
#include "model/text/template/loop.h"

typedef struct tpl_scope {
    struct tpl_scope *parent;
    const tpl_scope_info *info;
    tpl_value *slot; /* [info->n] */
} tpl_scope;

enum { TPL_FLOW_ON, TPL_FLOW_BREAK, TPL_FLOW_CONTINUE };

tn_status tpl_eval(tpl_env *e, tpl_scope *scope, const tpl_node *node, tpl_value *out) TN_MUST_USE;
/** *flow is left alone but by break and continue. */
tn_status tpl_exec(tpl_env *e, tpl_scope *scope, const tpl_node *node, int *flow) TN_MUST_USE;

tn_status tpl_scope_new(tpl_env *e, tpl_scope *parent, const tpl_scope_info *info,
                        tpl_scope **out) TN_MUST_USE;
/** Every variable as it is when the scope is entered. */
tn_status tpl_scope_reset(tpl_env *e, tpl_scope *scope) TN_MUST_USE;
/** target = value */
tn_status tpl_assign(tpl_env *e, tpl_scope *scope, const tpl_node *target,
                     tpl_value value) TN_MUST_USE;

/** call.c: evaluate the arguments of a CALL, FILTER or TEST; extra: one more by name, "caller", or
 * NULL. */
tn_status tpl_eval_args(tpl_env *e, tpl_scope *scope, const tpl_node *node, const tpl_value *caller,
                        tpl_args *out) TN_MUST_USE;
tn_status tpl_macro_new(tpl_env *e, tpl_scope *scope, const tpl_node *node,
                        tpl_value *out) TN_MUST_USE;

/** Render the body of a for loop over `iterable`, into the output. */
tn_status tpl_run_loop(tpl_env *e, tpl_scope *outer, const tpl_node *node, tpl_value iterable,
                       size_t depth0, int *flow) TN_MUST_USE;

/* Output of a part of the template that becomes a value. */
typedef struct tpl_capture {
    tn_strbuf text, *outer;
} tpl_capture;
void tpl_capture_begin(tpl_env *e, tpl_capture *c);
/** Restores the output; *out is the text unless status is an error, which is returned. */
tn_status tpl_capture_end(tpl_env *e, tpl_capture *c, tn_status status, tpl_value *out) TN_MUST_USE;

#endif
