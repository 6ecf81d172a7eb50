// SPDX-License-Identifier: Apache-2.0
// simt_races NAME: runs one kernel of races.cu. Under TSan, ctest looks for the report.
#include "tests/plugins/simt/kernels.h"
#include "tests/plugins/simt/rig.h"

#include <cstdio>

using namespace simt_test;

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        race which;
    } races[] = {
        { "missing_barrier", race::missing_barrier },
        { "blocks_write_the_same_word", race::blocks_write_the_same_word },
        { "shuffle_for_a_barrier", race::shuffle_for_a_barrier },
        { "copy_without_barrier", race::copy_without_barrier },
        { "last_block_without_fence", race::last_block_without_fence },
    };

    reset(nullptr);
    for (const auto &one : races) {
        if (argc != 2 || std::strcmp(argv[1], one.name) != 0)
            continue;
        device_array<float> x(numbers(64, 1)), y(numbers(64, 2));
        device_array<unsigned> done(std::vector<unsigned>{ 0 });
        run_race(one.which, x.p, y.p, done.p, nullptr);
        return cudaDeviceSynchronize() == cudaSuccess ? 0 : 1;
    }
    std::fprintf(stderr, "usage: simt_races NAME\n");
    return 2;
}
