// SPDX-License-Identifier: Apache-2.0
// The cuda domain on the emulator: what plugins get of it, and each way in which a machine may lack
// what it needs, as a sentence.
#include "tests/plugins/simt/rig.h"

extern "C" {
#include "core/base/alloc.h"
#include "core/plugin/plugin_set.h"
}

#include <thread>

using simt_test::default_settings;

static const tn_plugin_spec probe_spec = { nullptr, PROBE_PATH, nullptr, nullptr, 0 };

struct machine {
    tn_plugin_set *set = nullptr;
    const tn_plugin_entry *probe = nullptr, *cuda = nullptr;

    explicit machine(int32_t index = 0)
    {
        tn_error err = {};
        tn_plugin_set_args args = {};
        args.spec = &probe_spec;
        args.n_specs = 1;
        args.plugin_dir = PLUGIN_DIR;
        args.device = "cuda-sim";
        args.device_index = index;
        assert_int_equal(tn_plugin_set_open(&args, &set, &err), TN_OK);
        probe = tn_plugin_set_find(set, "cuda-probe");
        cuda = tn_plugin_set_find(set, "cuda");
    }
    machine(const machine &) = delete;
    machine &operator=(const machine &) = delete;
    ~machine()
    {
        tn_plugin_set_close(set);
    }
};

/* A machine with an attached device and a stream. */
struct device : machine {
    const tn_domain *domain;
    void *self, *stream = nullptr;

    device() : domain(cuda->api.provides), self(cuda->self)
    {
        tn_error err = {};
        assert_int_equal(cuda->state, TN_PLUGIN_LOADED);
        assert_int_equal(domain->attach(self, 0, &err), TN_OK);
        assert_int_equal(domain->stream_new(self, 0, &stream, &err), TN_OK);
    }
    ~device()
    {
        domain->stream_release(self, stream);
    }
    uint64_t alloc(uint64_t n_bytes) const
    {
        uint64_t addr = 0;
        tn_error err = {};
        assert_int_equal(domain->alloc(self, 0, n_bytes, &addr, &err), TN_OK);
        assert_int_equal(addr % 256, 0);
        return addr;
    }
    uint64_t alloc(const std::vector<float> &x) const
    {
        uint64_t addr = alloc(x.size() * sizeof(float));
        copy(addr, reinterpret_cast<uintptr_t>(x.data()), x.size() * sizeof(float), TN_TO_DEVICE);
        wait(); /* streams are lazy, and x may be gone before this one runs */
        return addr;
    }
    void copy(uint64_t dst, uint64_t src, uint64_t n_bytes, int32_t direction) const
    {
        tn_error err = {};
        assert_int_equal(domain->copy(self, dst, src, n_bytes, direction, stream, &err), TN_OK);
    }
    void wait() const
    {
        tn_error err = {};
        if (domain->stream_wait(self, stream, &err))
            fail_msg("%s", err.text);
    }
    std::vector<float> read(uint64_t addr, size_t n) const
    {
        std::vector<float> x(n);
        copy(reinterpret_cast<uintptr_t>(x.data()), addr, n * sizeof(float), TN_TO_HOST);
        wait();
        return x;
    }
    tn_status add(uint64_t a, uint64_t b, uint64_t sum, int64_t n, tn_error *err) const
    {
        tn_node node = {};
        node.path = "layer.0.add";
        tn_launch l = {};
        tn_tensor in[2] = {}, out = {};
        in[0].addr = a;
        in[1].addr = b;
        out.addr = sum;
        out.dim[0] = 1;
        out.dim[1] = n;
        l.in = in;
        l.out = &out;
        l.stream = stream;
        return probe->kernel[0].run(probe->self, &node, &l, err);
    }
};

static void assert_has(const char *text, const char *part)
{
    if (!std::strstr(text, part))
        fail_msg("\"%s\" lacks \"%s\"", text, part);
}

static void a_plugins_kernel_runs_on_the_domains_memory_and_stream(void **)
{
    device d;
    tn_error err = {};
    uint64_t a = d.alloc(std::vector<float>(1000, 2.0f)),
             b = d.alloc(std::vector<float>(1000, 3.0f));
    uint64_t sum = d.alloc(4000);

    assert_int_equal(d.add(a, b, sum, 1000, &err), TN_OK);
    assert_true(d.read(sum, 1000) == std::vector<float>(1000, 5.0f));
    for (uint64_t addr : { a, b, sum })
        d.domain->release(d.self, 0, addr);
}

static void bytes_are_copied_and_filled_in_the_order_of_the_stream(void **)
{
    device d;
    tn_error err = {};
    std::vector<float> x = simt_test::numbers(64, 9);
    uint64_t a = d.alloc(x), b = d.alloc(x.size() * sizeof(float));

    d.copy(b, a, 256, TN_ON_DEVICE);
    assert_int_equal(d.domain->fill(d.self, b + 16, 0, 32, d.stream, &err), TN_OK);
    std::vector<float> got = d.read(b, 64);
    std::fill(x.begin() + 4, x.begin() + 12, 0.0f);
    assert_true(got == x);
    assert_int_equal(d.domain->copy(d.self, b, a, 4, 9, d.stream, &err), TN_INVALID);
    d.copy(b, a, 0, TN_ON_DEVICE);
    d.domain->release(d.self, 0, a);
    d.domain->release(d.self, 0, b);
}

static void a_captured_step_is_replayed_on_what_the_memory_then_holds(void **)
{
    device d;
    tn_error err = {};
    void *graph = nullptr;
    uint64_t x = d.alloc(std::vector<float>(64, 0.0f)), one = d.alloc(std::vector<float>(64, 1.0f));

    assert_int_equal(d.domain->capture_begin(d.self, d.stream, &err), TN_OK);
    assert_int_equal(d.add(x, one, x, 64, &err), TN_OK);
    assert_int_equal(d.domain->capture_end(d.self, d.stream, &graph, &err), TN_OK);
    assert_true(d.read(x, 64)[0] == 0.0f);
    for (int i = 0; i < 3; i++)
        assert_int_equal(d.domain->graph_run(d.self, graph, d.stream, &err), TN_OK);
    assert_true(d.read(x, 64)[63] == 3.0f);
    d.domain->graph_release(d.self, graph);
    d.domain->release(d.self, 0, x);
    d.domain->release(d.self, 0, one);
}

static void waiting_inside_a_capture_spoils_it_with_a_sentence(void **)
{
    device d;
    tn_error err = {};
    void *graph = nullptr;

    assert_int_equal(d.domain->capture_begin(d.self, d.stream, &err), TN_OK);
    assert_int_equal(d.domain->stream_wait(d.self, d.stream, &err), TN_INTERNAL);
    assert_has(err.text, "not permitted when stream is capturing");
    assert_int_equal(d.domain->capture_end(d.self, d.stream, &graph, &err), TN_INTERNAL);
    assert_null(graph);
    assert_int_equal(d.domain->stream_wait(d.self, d.stream, &err), TN_OK);
}

static void memory_that_does_not_fit_is_said_with_what_is_free(void **)
{
    device d;
    tn_error err = {};
    char name[64];
    uint64_t addr, free_bytes, total_bytes;
    uint64_t held = d.alloc(200u << 20);

    assert_int_equal(d.domain->alloc(d.self, 0, 100u << 20, &addr, &err), TN_NO_MEMORY);
    assert_string_equal(err.text, "cuda: 100.0 MiB do not fit into the memory of device 0: 56.0 of "
                                  "256.0 MiB are free");
    assert_int_equal(addr, 0);
    assert_int_equal(d.domain->alloc(d.self, 0, UINT64_MAX, &addr, &err), TN_NO_MEMORY);
    assert_int_equal(
        d.domain->describe(d.self, 0, name, sizeof name, &free_bytes, &total_bytes, &err), TN_OK);
    assert_int_equal(free_bytes, 56u << 20);
    assert_int_equal(total_bytes, 256u << 20);
    assert_has(name, "A100");
    d.domain->release(d.self, 0, held);
    addr = d.alloc(100u << 20);
    d.domain->release(d.self, 0, addr);
}

static void a_fault_of_a_kernel_loses_the_device_with_the_emulators_words(void **)
{
    device d;
    tn_error err = {};
    uint64_t x = d.alloc(std::vector<float>(64, 1.0f));

    assert_int_equal(d.add(x, x, x, 65, &err), TN_OK);
    assert_int_equal(d.domain->stream_wait(d.self, d.stream, &err), TN_DEVICE_LOST);
    assert_has(err.text, "add_kernel: global load of 4 bytes");
    assert_int_equal(d.add(x, x, x, 64, &err), TN_DEVICE_LOST);
    tn_simt_clear_fault();
    d.domain->release(d.self, 0, x);
}

static void a_thread_that_attached_no_device_is_told_so(void **)
{
    device d;
    uint64_t x = d.alloc(256);

    std::thread([&] {
        tn_error err = {};
        void *block = nullptr;
        assert_int_equal(d.domain->fill(d.self, x, 0, 256, d.stream, &err), TN_INTERNAL);
        assert_has(err.text, "invalid device context");
        /* These need no device, and a thread that only cleans up may call them. */
        assert_int_equal(d.domain->host_alloc(d.self, 100, &block, &err), TN_OK);
        d.domain->host_release(d.self, block);
        d.domain->release(d.self, 0, x);
    }).join();
}

static void assert_skipped(const machine &m, const char *why)
{
    assert_int_equal(m.cuda->state, TN_PLUGIN_SKIPPED);
    assert_string_equal(m.cuda->reason, why);
    assert_int_equal(m.probe->state, TN_PLUGIN_SKIPPED);
    assert_has(m.probe->reason, "its domain cuda is not there: ");
    assert_has(m.probe->reason, why);
}

static void pretend(simt::device what, int driver_version)
{
    simt::settings s = default_settings();
    s.device = what;
    s.driver_version = driver_version;
    tn_simt_set_settings(&s);
}

static void an_old_driver_is_skipped_with_both_versions(void **)
{
    pretend(simt::device::a100, 11040);
    assert_skipped(machine(), "the NVIDIA driver speaks CUDA 11.4, and 12.0 is needed: install a "
                              "newer driver");
}

static void a_driver_older_than_the_plugins_runtime_skips_the_plugin(void **)
{
    pretend(simt::device::a100, 12040);
    machine m;
    assert_int_equal(m.cuda->state, TN_PLUGIN_LOADED);
    assert_int_equal(m.probe->state, TN_PLUGIN_SKIPPED);
    assert_has(m.probe->reason, "driver version is insufficient");
}

static void a_machine_without_a_device_is_skipped(void **)
{
    pretend(simt::device::none, 0);
    assert_skipped(machine(), "the NVIDIA driver sees no CUDA device (CUDA_VISIBLE_DEVICES hides "
                              "those that are there)");
}

static void a_device_that_is_too_old_is_skipped_with_its_name(void **)
{
    pretend(simt::device::v100, 0);
    assert_skipped(machine(), "device 0, Tesla V100-SXM2-16GB (emulated), has compute capability "
                              "7.0; 8.0 or later is needed");
}

static void a_device_number_that_is_not_there_fails(void **)
{
    machine m(3);
    assert_int_equal(m.cuda->state, TN_PLUGIN_FAILED);
    assert_string_equal(m.cuda->reason, "there is no device cuda:3, devices 0 to 0 are there");
}

static void every_allocation_of_opening_may_fail(void **)
{
    tn_error err = {};
    tn_plugin_set_args args = {};
    args.spec = &probe_spec;
    args.n_specs = 1;
    args.plugin_dir = PLUGIN_DIR;
    args.device = "cuda-sim";
    const uint64_t start = tn_alloc_count();
    const int64_t live = tn_alloc_live();
    tn_plugin_set *set = nullptr;

    assert_int_equal(tn_plugin_set_open(&args, &set, &err), TN_OK);
    const uint64_t n_allocations = tn_alloc_count() - start;
    tn_plugin_set_close(set);
    assert_true(n_allocations > 5);
    for (uint64_t n = 1; n <= n_allocations; n++) {
        tn_alloc_fail_at(n);
        tn_status status = tn_plugin_set_open(&args, &set, &err);
        tn_alloc_fail_at(0);
        assert_int_equal(status, TN_NO_MEMORY);
        assert_int_equal(tn_alloc_live(), live);
    }
}

static void opening_and_closing_leaves_nothing(void **)
{
    for (int i = 0; i < 100; i++) {
        device d;
        uint64_t x = d.alloc(1000);
        d.domain->release(d.self, 0, x);
    }
    size_t free_bytes, total_bytes;
    assert_int_equal(cudaMemGetInfo(&free_bytes, &total_bytes), cudaSuccess);
    assert_int_equal(free_bytes, total_bytes);
}

int main()
{
    using simt_test::reset;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_plugins_kernel_runs_on_the_domains_memory_and_stream, reset),
        cmocka_unit_test_setup(bytes_are_copied_and_filled_in_the_order_of_the_stream, reset),
        cmocka_unit_test_setup(a_captured_step_is_replayed_on_what_the_memory_then_holds, reset),
        cmocka_unit_test_setup(waiting_inside_a_capture_spoils_it_with_a_sentence, reset),
        cmocka_unit_test_setup(memory_that_does_not_fit_is_said_with_what_is_free, reset),
        cmocka_unit_test_setup(a_fault_of_a_kernel_loses_the_device_with_the_emulators_words,
                               reset),
        cmocka_unit_test_setup(a_thread_that_attached_no_device_is_told_so, reset),
        cmocka_unit_test_setup(an_old_driver_is_skipped_with_both_versions, reset),
        cmocka_unit_test_setup(a_driver_older_than_the_plugins_runtime_skips_the_plugin, reset),
        cmocka_unit_test_setup(a_machine_without_a_device_is_skipped, reset),
        cmocka_unit_test_setup(a_device_that_is_too_old_is_skipped_with_its_name, reset),
        cmocka_unit_test_setup(a_device_number_that_is_not_there_fails, reset),
        cmocka_unit_test_setup(every_allocation_of_opening_may_fail, reset),
        cmocka_unit_test_setup(opening_and_closing_leaves_nothing, reset),
    };
    return cmocka_run_group_tests_name("cuda_domain", tests, nullptr, nullptr);
}
