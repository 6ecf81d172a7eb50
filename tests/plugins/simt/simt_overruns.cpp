// SPDX-License-Identifier: Apache-2.0
// simt_overruns NAME: runs one kernel of faults.cu that stores out of bounds by a plain access. Under
// ASan, ctest looks for the report.
#include "tests/plugins/simt/kernels.h"
#include "tests/plugins/simt/rig.h"

#include <cstdio>

using namespace simt_test;

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        fault which;
    } faults[] = { { "global", fault::plain_store_behind_end },
                   { "shared", fault::plain_shared_store_behind_end } };

    reset(nullptr);
    for (const auto &one : faults) {
        if (argc != 2 || std::strcmp(argv[1], one.name) != 0)
            continue;
        device_array<float> x(numbers(256, 7));
        run_fault(one.which, x.p, 256, nullptr);
        cudaDeviceSynchronize();
        return 0;
    }
    std::fprintf(stderr, "usage: simt_overruns NAME\n");
    return 2;
}
