/* SPDX-License-Identifier: Apache-2.0 */
/* The variable `loop`. It reads its items one by one, and tests them only then, as Jinja2's
 * LoopContext: a template can see when. */
#ifndef TN_MODEL_TEXT_TEMPLATE_LOOP_H
#define TN_MODEL_TEXT_TEMPLATE_LOOP_H

#include "model/text/template/ast.h"

struct tpl_scope;

typedef struct tpl_loop {
    const tpl_node *node;
    struct tpl_scope *outer; /* the scope around the for */
    struct tpl_scope *test;  /* scope of its `if`, or NULL */
    tpl_list items;
    size_t at; /* the next of items */
    size_t index0,
        length; /* index0 is SIZE_MAX before the first, length SIZE_MAX while not known */
    size_t depth0;
    tpl_value before, current, after; /* after: read ahead, or MISSING */
    tpl_list changed;                 /* arguments of the last changed() */
    bool was_changed;
} tpl_loop;

/** The next item into loop->current; *out_has is false at the end. */
tn_status tpl_loop_next(tpl_env *e, tpl_loop *loop, bool *out_has) TN_MUST_USE;
tn_status tpl_loop_length(tpl_env *e, tpl_loop *loop, size_t *out) TN_MUST_USE;
/** loop.name; *out is MISSING when there is no such attribute. */
tn_status tpl_loop_attr(tpl_env *e, tpl_loop *loop, const tpl_str *name,
                        tpl_value *out) TN_MUST_USE;

#endif
