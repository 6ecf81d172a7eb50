/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated device: memory the host cannot read, a late stream, errors at the wait, and
 * cpu-ref's bits. */
#include "core/plugin/plugin_set.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

enum { DIM = 48, ROWS = 7, ROW_BYTES = DIM * sizeof(float), BYTES = ROWS * ROW_BYTES };

typedef struct fixture {
    tn_plugin_set *set;
    const tn_plugin_entry *sim, *ref;
    const tn_domain *domain;
    void *self, *stream;
} fixture;

static int open_device(void **state)
{
    static fixture f;
    static const tn_plugin_spec specs[] = { { .name = "simdev" }, { .path = CPU_REF_PATH } };
    const tn_plugin_set_args args = {
        .spec = specs, .n_specs = 2, .plugin_dir = PLUGIN_DIR, .device = "simdev"
    };
    tn_error err = { 0 };

    assert_int_equal(tn_plugin_set_open(&args, &f.set, &err), TN_OK);
    assert_int_equal(tn_plugin_set_require(f.set, &err), TN_OK);
    f.sim = tn_plugin_set_entry(f.set, 0);
    f.ref = tn_plugin_set_entry(f.set, 1);
    f.domain = f.sim->device.domain;
    f.self = f.sim->device.self;
    assert_int_equal(f.domain->stream_new(f.self, 0, &f.stream, &err), TN_OK);
    *state = &f;
    return 0;
}

static int close_device(void **state)
{
    fixture *f = *state;

    f->domain->stream_release(f->self, f->stream);
    tn_plugin_set_close(f->set);
    return 0;
}

static uint64_t device_alloc(const fixture *f, uint64_t bytes)
{
    uint64_t addr;
    tn_error err = { 0 };

    assert_int_equal(f->domain->alloc(f->self, 0, bytes, &addr, &err), TN_OK);
    assert_int_equal(addr % 256, 0);
    return addr;
}

static void copy(const fixture *f, uint64_t dst, uint64_t src, uint64_t n, int32_t direction)
{
    tn_error err = { 0 };

    assert_int_equal(f->domain->copy(f->self, dst, src, n, direction, f->stream, &err), TN_OK);
}

static void wait_for(const fixture *f)
{
    tn_error err = { 0 };

    if (f->domain->stream_wait(f->self, f->stream, &err) != TN_OK)
        fail_msg("%s", err.text);
}

static void assert_wait_fails(const fixture *f, const char *text)
{
    tn_error err = { 0 };

    assert_int_equal(f->domain->stream_wait(f->self, f->stream, &err), TN_INTERNAL);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" lacks \"%s\"", err.text, text);
    wait_for(f); /* reported once */
}

static uint64_t address(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

static void the_host_cannot_read_device_memory(void **state)
{
    const fixture *f = *state;
    const uint64_t addr = device_alloc(f, 64);
    int fd[2];

    /* The kernel reads for us, and says EFAULT instead of a signal. */
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(write(fd[1], (const void *)(uintptr_t)addr, 1), -1);
    assert_int_equal(errno, EFAULT);
    close(fd[0]);
    close(fd[1]);
    f->domain->release(f->self, 0, addr);
}

static void bytes_come_back_and_fresh_memory_is_not_zero(void **state)
{
    const fixture *f = *state;
    const uint64_t a = device_alloc(f, 1000), b = device_alloc(f, 1000);
    uint8_t sent[1000], got[1000];
    tn_error err = { 0 };

    for (int i = 0; i < 1000; i++)
        sent[i] = (uint8_t)(i * 7);
    copy(f, address(got), b, 1000, TN_TO_HOST);
    wait_for(f);
    assert_int_not_equal(got[999], 0);
    copy(f, a, address(sent), 1000, TN_TO_DEVICE);
    copy(f, b, a, 1000, TN_ON_DEVICE);
    assert_int_equal(f->domain->fill(f->self, b + 10, 0x11, 5, f->stream, &err), TN_OK);
    copy(f, address(got), b, 1000, TN_TO_HOST);
    wait_for(f);
    memset(sent + 10, 0x11, 5);
    assert_memory_equal(got, sent, 1000);
    f->domain->release(f->self, 0, a);
    f->domain->release(f->self, 0, b);
}

static void errors_surface_at_the_wait(void **state)
{
    const fixture *f = *state;
    const uint64_t a = device_alloc(f, 256);
    uint8_t host[300] = { 0 };
    tn_error err = { 0 };

    assert_int_equal(f->domain->fill(f->self, a, 0, 257, f->stream, &err), TN_OK);
    assert_wait_fails(f, "a fill of 257 bytes");
    copy(f, a, address(host), 300, TN_TO_DEVICE);
    assert_wait_fails(f, "outside every allocation");
    copy(f, a, a, 16, TN_TO_HOST); /* a device address where the host's is due */
    assert_wait_fails(f, "device address for a host pointer");
    f->domain->release(f->self, 0, a);
    copy(f, a, address(host), 16, TN_TO_DEVICE);
    assert_wait_fails(f, "outside every allocation");
}

static const tn_kernel *kernel_of(const tn_plugin_entry *plugin, const char *op)
{
    for (int32_t i = 0; i < plugin->n_kernels; i++)
        if (strcmp(plugin->kernel[i].op, op) == 0)
            return &plugin->kernel[i];
    fail_msg("%s has no %s", plugin->name, op);
    return NULL;
}

static tn_tensor tensor(uint64_t addr)
{
    return (tn_tensor){ .addr = addr,
                        .dtype = TN_F32,
                        .rank = 2,
                        .dim = { ROWS, DIM },
                        .stride = { DIM, 1 },
                        .name = "x" };
}

static tn_status run_norm(const tn_plugin_entry *plugin, const tn_node *node, uint64_t x,
                          uint64_t y, uint64_t blob, void *stream)
{
    const tn_tensor in = tensor(x), out = tensor(y);
    const tn_batch batch = { .size = sizeof(batch) };
    const tn_launch launch = { .size = sizeof(launch),
                               .n_in = 1,
                               .n_out = 1,
                               .in = &in,
                               .out = &out,
                               .batch = &batch,
                               .weight = blob,
                               .stream = stream };
    tn_error err = { 0 };

    return kernel_of(plugin, "rmsnorm")->run(plugin->self, node, &launch, &err);
}

static void a_kernel_gives_cpu_refs_bits(void **state)
{
    const fixture *f = *state;
    static const tn_norm param = { .size = sizeof(param), .dim = DIM, .eps = 1e-6f };
    static const tn_node node = { .size = sizeof(node),
                                  .op = "rmsnorm",
                                  .path = "norm",
                                  .resid_dtype = TN_F32,
                                  .act_dtype = TN_F32,
                                  .n_in = 1,
                                  .n_out = 1,
                                  .in_dtype = { TN_F32 },
                                  .out_dtype = { TN_F32 },
                                  .max_tokens = ROWS,
                                  .max_rows = ROWS,
                                  .max_seqs = 1,
                                  .max_ctx = 64,
                                  .block_tokens = 16,
                                  .param = &param };
    float x[ROWS * DIM], w[DIM], on_host[ROWS * DIM], on_device[ROWS * DIM];
    double blob[64] = { 0 };
    tn_plan plan = { .size = sizeof(plan) };
    tn_error err = { 0 };
    const tn_weight_rows rows = { .size = sizeof(rows), .rows = 1, .cols = DIM, .values = w };
    const tn_kernel *kernel = kernel_of(f->sim, "rmsnorm");

    for (int i = 0; i < ROWS * DIM; i++)
        x[i] = (float)(i % 23) * 0.37f - 3.0f;
    for (int i = 0; i < DIM; i++)
        w[i] = 1.0f + (float)i * 0.01f;
    assert_int_equal(kernel->supports(f->sim->self, &node, &err), TN_OK);
    assert_int_equal(kernel->plan(f->sim->self, &node, &plan, &err), TN_OK);
    assert_in_range(plan.weight_bytes, 1, sizeof(blob));
    assert_int_equal(kernel->pack(f->sim->self, &node, &rows, blob, &err), TN_OK);
    assert_int_equal(run_norm(f->ref, &node, address(x), address(on_host), address(blob), NULL),
                     TN_OK);
    const uint64_t dx = device_alloc(f, BYTES), dy = device_alloc(f, BYTES);
    const uint64_t dw = device_alloc(f, plan.weight_bytes);
    copy(f, dx, address(x), BYTES, TN_TO_DEVICE);
    copy(f, dw, address(blob), plan.weight_bytes, TN_TO_DEVICE);
    assert_int_equal(run_norm(f->sim, &node, dx, dy, dw, f->stream), TN_OK);
    copy(f, address(on_device), dy, BYTES, TN_TO_HOST);
    wait_for(f);
    assert_memory_equal(on_device, on_host, BYTES);

    /* A row past the end of the input's allocation. */
    assert_int_equal(run_norm(f->sim, &node, dx + ROW_BYTES, dy, dw, f->stream), TN_OK);
    assert_wait_fails(f, "norm: x at");
    f->domain->release(f->self, 0, dx);
    f->domain->release(f->self, 0, dy);
    f->domain->release(f->self, 0, dw);
}

static void many_tasks_keep_their_order(void **state)
{
    const fixture *f = *state;
    const uint64_t a = device_alloc(f, 4);
    static int32_t got[1000], sent[1000];

    for (int32_t i = 0; i < 1000; i++) {
        sent[i] = i;
        copy(f, a, address(&sent[i]), 4, TN_TO_DEVICE);
        copy(f, address(&got[i]), a, 4, TN_TO_HOST);
    }
    wait_for(f);
    assert_memory_equal(got, sent, sizeof(sent));
    f->domain->release(f->self, 0, a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_cannot_read_device_memory),
        cmocka_unit_test(bytes_come_back_and_fresh_memory_is_not_zero),
        cmocka_unit_test(errors_surface_at_the_wait),
        cmocka_unit_test(a_kernel_gives_cpu_refs_bits),
        cmocka_unit_test(many_tasks_keep_their_order),
    };

    return cmocka_run_group_tests(tests, open_device, close_device);
}
