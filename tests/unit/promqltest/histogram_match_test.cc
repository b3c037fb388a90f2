#include "core/promqltest/histogram_match.h"

#include <gtest/gtest.h>

#include "core/promql/parser.h"

namespace weir::promqltest {
namespace {

struct Row {
  const char* want;
  const char* got;
  bool same;
};

const Row kRows[] = {
    {"{{sum:1 count:2 buckets:[1 1]}}", "{{sum:1.0000001 count:2 buckets:[1 1]}}", true},
    {"{{sum:1 count:2 buckets:[1 1]}}", "{{sum:1.00001 count:2 buckets:[1 1]}}", false},
    {"{{sum:NaN}}", "{{sum:NaN}}", true},
    {"{{buckets:[1 0 1]}}", "{{buckets:[0 1 0 1 0] offset:-1}}", true},
    {"{{buckets:[1 1]}}", "{{buckets:[1 1] offset:1}}", false},
    {"{{buckets:[1 1]}}", "{{buckets:[1 1 1]}}", false},
    {"{{n_buckets:[1 1]}}", "{{n_buckets:[1 1.00000001]}}", true},
    {"{{schema:1}}", "{{schema:0}}", false},
    {"{{z_bucket:1 z_bucket_w:0.5}}", "{{z_bucket:1.00000001 z_bucket_w:0.5}}", true},
    {"{{z_bucket:1 z_bucket_w:0.5}}", "{{z_bucket:1 z_bucket_w:0.50000001}}", false},
    {"{{schema:-53 custom_values:[1]}}", "{{schema:-53 custom_values:[1]}}", true},
    {"{{schema:-53 custom_values:[1]}}", "{{schema:-53 custom_values:[2]}}", false},
    {"{{sum:1}}", "{{sum:1 counter_reset_hint:gauge}}", true},
    {"{{sum:1 counter_reset_hint:gauge}}", "{{sum:1 counter_reset_hint:gauge}}", true},
    {"{{sum:1 counter_reset_hint:unknown}}", "{{sum:1 counter_reset_hint:gauge}}", false},
    {"{{sum:1 counter_reset_hint:gauge}}", "{{sum:1}}", false},
};

TEST(SameHistogram, ComparesAsPromqltestDoes) {
  for (const Row& row : kRows) {
    const auto want = promql::ParseSeriesDescription(std::string("h ") + row.want);
    const auto got = promql::ParseSeriesDescription(std::string("h ") + row.got);
    ASSERT_TRUE(want.ok() && got.ok()) << row.want << row.got;
    EXPECT_EQ(SameHistogram(*want->values[0].histogram, want->values[0].hint_named, *got->values[0].histogram, 1e-6),
              row.same)
        << row.want << " " << row.got;
  }
}

}  // namespace
}  // namespace weir::promqltest
