/* SPDX-License-Identifier: Apache-2.0 */
/* A shared library that is no plugin. */
int tn_tests_not_a_plugin(void);

__attribute__((visibility("default"))) int tn_tests_not_a_plugin(void)
{
    return 1;
}
