// What a quantile of buckets may be, against the quantile itself at random counts within the spans.
#include "core/engine/classic_histogram.h"

#include <cmath>
#include <string>

#include <gtest/gtest.h>

namespace weir::engine {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// splitmix64
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t Below(uint64_t n) { return Next() % n; }
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  bool Chance(double p) { return Unit() < p; }

 private:
  uint64_t state_;
};

std::vector<BucketSpan> RandomSpans(Random* random) {
  std::vector<BucketSpan> spans;
  double bound = random->Chance(0.2) ? -1 : 0;
  double count = random->Chance(0.1) ? 0 : random->Unit() * 10;
  for (uint64_t n = random->Below(7); n > 0; --n) {
    bound += random->Chance(0.05) ? 0 : random->Chance(0.2) ? 1 : random->Unit();
    count += random->Chance(0.3) ? 0 : random->Unit() * 10 - (random->Chance(0.1) ? 5 : 0);
    Span span = Span::Of(count);
    if (random->Chance(0.7)) {
      span.Add(count + (random->Unit() - 0.5) * (random->Chance(0.3) ? 20 : 1e-3));
    }
    span.absent = random->Chance(0.03);
    span.nan = random->Chance(0.01);
    if (random->Chance(0.02)) {
      span = Span::Absent();
    }
    if (random->Chance(0.02)) {
      span.hi = kInfinity;
    }
    spans.push_back({bound, span});
  }
  if (!random->Chance(0.05)) {
    spans.push_back({kInfinity, spans.empty() ? Span::Of(1) : Span::Of(std::max(0.0, count))});
    spans.back().count.Add(spans.back().count.lo + random->Unit() * (random->Chance(0.5) ? 20 : 1e-3));
  }
  return spans;
}

// RETURNS: counts within the spans, at times at their ends, some of them equal but for rounding.
std::vector<Bucket> RandomCounts(Random* random, const std::vector<BucketSpan>& spans) {
  std::vector<Bucket> buckets;
  for (const BucketSpan& span : spans) {
    if (!span.count.present() || (span.count.absent && random->Chance(0.5))) {
      continue;
    }
    const double hi = std::isfinite(span.count.hi) ? span.count.hi : span.count.lo + 100;
    double v = random->Chance(0.3)   ? span.count.lo
               : random->Chance(0.4) ? hi
                                     : span.count.lo + (hi - span.count.lo) * random->Unit();
    if (!buckets.empty() && random->Chance(0.1)) {
      const double near = buckets.back().count * (1 + (random->Unit() - 0.5) * 4e-12);
      v = near >= span.count.lo && near <= hi ? near : v;
    }
    buckets.push_back({span.bound, span.count.nan && random->Chance(0.5) ? std::nan("") : v});
  }
  return buckets;
}

std::string Text(const std::vector<BucketSpan>& spans) {
  std::string text;
  for (const BucketSpan& s : spans) {
    text += std::to_string(s.bound) + " [" + std::to_string(s.count.lo) + ", " + std::to_string(s.count.hi) + "]" +
            (s.count.absent ? " absent" : "") + (s.count.nan ? " nan" : "") + "\n";
  }
  return text;
}

bool Within(const Span& span, std::vector<Bucket> buckets, double q) {
  if (buckets.empty()) {
    return span.absent;
  }
  Forced forced;
  const double v = BucketQuantile(q, &buckets, &forced);
  return std::isnan(v) ? span.nan : v >= span.lo && v <= span.hi;
}

double RandomQuantile(Random* random) {
  static constexpr double kOften[] = {0, 0.5, 0.9, 0.99, 1};
  return random->Chance(0.6) ? kOften[random->Below(5)] : random->Unit();
}

TEST(ClassicHistogram, TheQuantileStaysWithinItsBound) {
  size_t tight = 0;
  for (uint64_t seed = 0; seed < 40000; ++seed) {
    Random random(seed);
    const std::vector<BucketSpan> spans = RandomSpans(&random);
    const double q = RandomQuantile(&random);
    const Span bound = BoundBucketQuantile(q, spans);
    tight += bound.present() && std::isfinite(bound.hi - bound.lo) ? 1 : 0;
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(Within(bound, RandomCounts(&random, spans), q))
          << "seed " << seed << ", q " << q << ", [" << bound.lo << ", " << bound.hi << "] of\n"
          << Text(spans);
    }
  }
  EXPECT_GT(tight, 20000u);
}

TEST(ClassicHistogram, WideningKeepsToWhatIsAskedFor) {
  size_t widened = 0;
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    Random random(seed);
    std::vector<BucketSpan> spans = RandomSpans(&random);
    const std::vector<BucketSpan> before = spans;
    const double q = RandomQuantile(&random);
    Span keep = Span::Any();
    (random.Chance(0.7) ? keep.hi : keep.lo) = random.Unit() * 4;
    const bool holds = WidenForQuantile(q, keep, &spans);
    const Span after = BoundBucketQuantile(q, spans);
    ASSERT_TRUE(!holds || keep.Holds(after)) << "seed " << seed;
    for (size_t i = 0; i < spans.size(); ++i) {
      ASSERT_TRUE(spans[i].count.Holds(before[i].count)) << "seed " << seed << "\n" << Text(before) << Text(spans);
      widened += holds && spans[i].count.hi > before[i].count.hi ? 1 : 0;
    }
  }
  EXPECT_GT(widened, 10000u);
}

}  // namespace
}  // namespace weir::engine
