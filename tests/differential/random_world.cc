#include "tests/differential/random_world.h"

#include <cmath>
#include <limits>

#include "core/model/sample.h"

namespace weir::differential {

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

enum class Shape : unsigned char { kCounter, kGauge, kWild };

// One series' next value after `v`.
double NextValue(Random* random, Shape shape, double v) {
  switch (shape) {
    case Shape::kCounter:
      if (random->Chance(0.05)) {
        return random->Chance(0.5) ? 0 : static_cast<double>(random->Below(20));
      }
      if (random->Chance(0.02)) {
        return v + 1e9;
      }
      return random->Chance(0.3)
                 ? v
                 : v + (random->Chance(0.5) ? static_cast<double>(random->Below(50)) : random->Unit() * 7);
    case Shape::kGauge:
      if (random->Chance(0.02)) {
        return NormalNaN();
      }
      if (random->Chance(0.01)) {
        return random->Chance(0.5) ? kInf : -kInf;
      }
      if (random->Chance(0.2)) {
        return std::isfinite(v) ? v : 1;
      }
      return random->Chance(0.3) ? static_cast<double>(random->Between(-100, 100)) : (random->Unit() - 0.5) * 1000;
    case Shape::kWild:
      switch (random->Below(8)) {
        case 0:
          return NormalNaN();
        case 1:
          return random->Chance(0.5) ? kInf : -kInf;
        case 2:
          return random->Chance(0.5) ? 1e300 : -1e300;
        case 3:
          return random->Chance(0.5) ? 0.0 : -0.0;
        case 4:
          return 5e-324;
        case 5:
          return v;
        default:
          return (random->Unit() - 0.5) * 10;
      }
  }
  return v;
}

std::vector<naive::Point> MakePoints(Random* random, Shape shape, const World& world) {
  std::vector<naive::Point> points;
  int64_t period =
      random->Pick(std::vector<int64_t>{5000, 10000, 15000, 30000, 60000, world.interval_ms, 2 * world.interval_ms});
  if (world.dense) {
    period = random->Pick(std::vector<int64_t>{250, 500, 1000, 2000});
  }
  int64_t t = random->Chance(0.6) ? random->Between(-1000, period) : random->Between(0, world.end_ms / 2);
  if (random->Chance(0.3)) {
    t = world.phase_ms + (t / period) * period;  // samples on the cuts
  }
  int64_t last = random->Chance(0.7) ? world.end_ms : random->Between(t, world.end_ms);
  int64_t jitter = random->Chance(0.5) ? random->Between(1, period / 3) : 0;
  double v = shape == Shape::kCounter ? static_cast<double>(random->Below(1000)) : random->Unit() * 100;
  int64_t previous = std::numeric_limits<int64_t>::min();
  while (t <= last) {
    int64_t at = t + (jitter > 0 ? random->Between(-jitter, jitter) : 0);
    if (random->Chance(0.03)) {
      // A sample exactly on an evaluation time, or one millisecond beside it.
      at = world.phase_ms + (at / world.interval_ms) * world.interval_ms + random->Between(-1, 1);
    }
    if (at > previous) {
      v = NextValue(random, shape, v);
      bool stale = random->Chance(world.dense ? 0.001 : 0.015);
      points.push_back({at, stale ? StaleNaN() : v, 0});
      previous = at;
      if (stale && random->Chance(0.5)) {
        t += random->Between(1, 12) * period;
      }
    }
    t += period;
    if (random->Chance(world.dense ? 0.001 : 0.03)) {
      t += random->Between(1, 40) * (world.dense ? 15000 : period) / 2;  // a gap, at times longer than the lookback
    }
  }
  return points;
}

void AddBuckets(Random* random, World* world) {
  const char* const bounds[] = {"0.1", "0.5", "1", "2.5", "+Inf"};
  for (int host = 0; host < 2; ++host) {
    double counts[5] = {0, 0, 0, 0, 0};
    Labels labels[5];
    for (int b = 0; b < 5; ++b) {
      labels[b] = Labels({{"__name__", "b_bucket"}, {"i", std::to_string(host)}, {"le", bounds[b]}});
    }
    for (int64_t t = random->Between(0, 20000); t <= world->end_ms; t += 15000) {
      if (random->Chance(0.02)) {
        for (double& c : counts) {
          c = 0;
        }
      }
      double below = 0;
      for (int b = 0; b < 5; ++b) {
        below += static_cast<double>(random->Below(4));
        counts[b] += below;
        if (!random->Chance(0.01)) {
          world->data[labels[b]].push_back({t, counts[b], 0});
        }
      }
    }
  }
}

std::string Duration(int64_t ms) {
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + "s" : std::to_string(ms) + "ms";
}

int64_t Window(Random* random, int64_t interval) {
  return random->Pick(std::vector<int64_t>{interval, 2 * interval, 5 * interval, 37000, 60000, 90000, 127000, 300000,
                                           433000, interval + 1, interval * 3 - 1, 600000});
}

std::string Offset(Random* random, int64_t interval) {
  if (!random->Chance(0.3)) {
    return "";
  }
  return " offset " + Duration(random->Pick(std::vector<int64_t>{interval, 30000, 77000, 300000, 1, interval - 1}));
}

std::string Selector(Random* random, const std::string& metric) {
  switch (random->Below(6)) {
    case 0:
      return metric + "{i=\"0\"}";
    case 1:
      return metric + "{i=~\"1|2\"}";
    case 2:
      return metric + "{j!=\"x\"}";
    default:
      return metric;
  }
}

std::string Metric(Random* random, bool wild) {
  return wild && random->Chance(0.4) ? "w" : random->Chance(0.5) ? "c_total" : "g";
}

// A function over a range selector.
RandomExpr RangeLeaf(Random* random, int64_t interval) {
  static const std::vector<std::string> exact = {"rate",
                                                 "rate",
                                                 "increase",
                                                 "delta",
                                                 "irate",
                                                 "idelta",
                                                 "min_over_time",
                                                 "max_over_time",
                                                 "count_over_time",
                                                 "present_over_time",
                                                 "changes",
                                                 "resets",
                                                 "first_over_time",
                                                 "last_over_time",
                                                 "ts_of_first_over_time",
                                                 "ts_of_last_over_time",
                                                 "ts_of_min_over_time",
                                                 "ts_of_max_over_time"};
  static const std::vector<std::string> close = {"sum_over_time", "avg_over_time", "stddev_over_time",
                                                 "stdvar_over_time", "deriv"};
  static const std::vector<std::string> anchored = {"rate", "increase", "delta", "changes", "resets"};
  RandomExpr out;
  uint64_t kind = random->Below(10);
  out.exact = kind < 6;
  std::string metric = Metric(random, out.exact);
  std::string selector = Selector(random, metric);
  std::string window = "[" + Duration(Window(random, interval)) + "]";
  std::string offset = Offset(random, interval);
  if (kind == 5) {
    out.text = random->Pick(anchored) + "(" + selector + window + " anchored" + offset + ")";
  } else if (out.exact) {
    out.text = random->Pick(exact) + "(" + selector + window + offset + ")";
  } else if (kind == 6) {
    out.text = "quantile_over_time(" + random->Pick(std::vector<std::string>{"0.5", "0.9", "0.01", "1", "0"}) + ", " +
               selector + window + offset + ")";
  } else if (kind == 7) {
    out.text = random->Chance(0.5) ? "predict_linear(" + selector + window + offset + ", 3600)"
                                   : "mad_over_time(" + selector + window + offset + ")";
  } else {
    out.text = random->Pick(close) + "(" + selector + window + offset + ")";
  }
  return out;
}

RandomExpr Leaf(Random* random, int64_t interval) {
  if (random->Chance(0.25)) {
    return {Selector(random, Metric(random, true)) + Offset(random, interval), true, false, false, false};
  }
  return RangeLeaf(random, interval);
}

RandomExpr Subquery(Random* random, int64_t interval) {
  static const std::vector<std::string> exact = {"max_over_time",  "min_over_time", "count_over_time",
                                                 "last_over_time", "changes",       "increase",
                                                 "rate",           "delta",         "first_over_time"};
  RandomExpr inner = Leaf(random, interval);
  bool use_exact = random->Chance(0.7);
  std::string outer = use_exact ? random->Pick(exact) : random->Chance(0.5) ? "sum_over_time" : "avg_over_time";
  int64_t range = random->Pick(std::vector<int64_t>{60000, 127000, 300000, interval * 4, 90001});
  std::string step =
      random->Chance(0.2) ? "" : Duration(random->Pick(std::vector<int64_t>{10000, 15000, 60000, 7000, 17001}));
  RandomExpr out;
  // changes, resets and comparisons inside would turn a last-bit difference into a whole one.
  out.exact = use_exact && inner.exact;
  if (!inner.exact && (outer == "changes" || outer == "increase" || outer == "rate")) {
    outer = "max_over_time";
  }
  if (!out.exact && inner.text.find("w") != std::string::npos && inner.text.find("w{") != std::string::npos) {
    outer = "max_over_time";
  }
  out.text = outer + "((" + inner.text + ")[" + Duration(range) + ":" + step + "]" + Offset(random, interval) + ")";
  return out;
}

// Subqueries of subqueries, `@` in the past, and what fails at run time.
RandomExpr Odd(Random* random, int64_t interval) {
  switch (random->Below(6)) {
    case 0:
      return {"max_over_time(" + Subquery(random, interval).text + "[" + Duration(4 * interval) + ":" +
                  Duration(interval) + "])",
              false, false, false, false};
    case 1:
      return {"c_total - c_total @ 300", true, false, false, true};
    case 2:
      return {"c_total * on (i) g", false, false, false, false};  // fails whenever two series share i
    case 3:
      return {"label_replace(c_total, \"j\", \"same\", \"\", \"\")", true, false, false, false};
    case 4:
      return {"rate({__name__=~\"c_total|g\"}[" + Duration(Window(random, interval)) + "])", true, false, false, false};
    default:
      return {"min_over_time(g[" + Duration(Window(random, interval)) + "] @ 420 offset 60s)", true, false, false,
              true};
  }
}

RandomExpr Aggregation(Random* random, int64_t interval) {
  static const std::vector<std::string> exact = {"min", "max", "count", "group"};
  static const std::vector<std::string> close = {"sum", "avg", "stddev", "stdvar", "quantile"};
  RandomExpr inner = Leaf(random, interval);
  bool wild = inner.text.find("w{") != std::string::npos || inner.text.find("(w[") != std::string::npos ||
              inner.text.substr(0, 1) == "w";
  bool use_exact = wild || random->Chance(0.5);
  std::string op = use_exact ? random->Pick(exact) : random->Pick(close);
  std::string by = random->Pick(std::vector<std::string>{"", " by (i) ", " without (j) ", " by (i, none) "});
  RandomExpr out;
  out.exact = use_exact && inner.exact;
  out.any_zero = true;
  out.text = op + by + "(" + (op == "quantile" ? "0.7, " : "") + inner.text + ")";
  return out;
}

RandomExpr Binary(Random* random, int64_t interval) {
  RandomExpr l = Leaf(random, interval);
  RandomExpr r = Leaf(random, interval);
  bool exact = l.exact && r.exact;
  static const std::vector<std::string> arithmetic = {" + ", " - ", " * ", " / "};
  static const std::vector<std::string> comparison = {" > ", " <= ", " == ", " != ", " >= bool ", " < bool "};
  static const std::vector<std::string> sets = {" and ", " or ", " unless "};
  std::string op;
  if (exact) {
    op = random->Chance(0.4)   ? random->Pick(arithmetic)
         : random->Chance(0.5) ? random->Pick(comparison)
                               : random->Pick(sets);
  } else {
    op = random->Chance(0.5) ? " * " : random->Pick(sets);
  }
  std::string matching;
  if (op.find(" bool") == std::string::npos || random->Chance(0.5)) {
    matching = random->Chance(0.6) ? "on (i, j) " : "";
  }
  if (random->Chance(0.25)) {
    return {l.text + op + matching + "(" + r.text + ")", exact, false, false, false};
  }
  bool set = op == " and " || op == " or " || op == " unless ";
  if (!set && random->Chance(0.3)) {
    return {"(" + l.text + ")" + op + "on (i) group_left () (max by (i) (" + r.text + "))", exact, true, false, false};
  }
  return {"(" + l.text + ")" + op + matching + "(" + r.text + ")", exact, false, false, false};
}

}  // namespace

uint64_t Random::Next() {
  state_ += 0x9e3779b97f4a7c15ULL;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

World MakeWorld(Random* random) {
  World world;
  world.interval_ms = random->Pick(std::vector<int64_t>{15000, 30000, 60000, 10000, 7000});
  world.phase_ms = random->Chance(0.5) ? 0 : random->Between(0, world.interval_ms - 1);
  world.end_ms = random->Between(25, 60) * 60000;
  world.dense = random->Chance(0.2);
  if (world.dense) {
    world.interval_ms = random->Pick(std::vector<int64_t>{30000, 60000, 47000});
  }
  struct Family {
    const char* name;
    Shape shape;
    int series;
  };
  for (const Family& f :
       {Family{"c_total", Shape::kCounter, 6}, Family{"g", Shape::kGauge, 6}, Family{"w", Shape::kWild, 4}}) {
    for (int s = 0; s < f.series; ++s) {
      Labels labels({{"__name__", f.name}, {"i", std::to_string(s % 3)}, {"j", s < 3 ? "x" : "y" + std::to_string(s)}});
      std::vector<naive::Point> points = MakePoints(random, f.shape, world);
      if (!points.empty()) {
        world.data[labels] = std::move(points);
      }
    }
  }
  AddBuckets(random, &world);
  return world;
}

namespace {

RandomExpr MakeAnyExpr(Random* random, int64_t interval_ms) {
  switch (random->Below(13)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return RangeLeaf(random, interval_ms);
    case 4:
      return Leaf(random, interval_ms);
    case 5:
    case 6:
      return Subquery(random, interval_ms);
    case 7:
    case 8:
      return Aggregation(random, interval_ms);
    case 12:
      return Odd(random, interval_ms);
    case 9:
      return {"histogram_quantile(0.9, sum by (le) (rate(b_bucket[" + Duration(Window(random, interval_ms)) + "])))",
              false, false, false, false};
    default:
      return Binary(random, interval_ms);
  }
}

}  // namespace

RandomExpr MakeExpr(Random* random, int64_t interval_ms) {
  RandomExpr out = MakeAnyExpr(random, interval_ms);
  bool counters = out.text.find("c_total") != std::string::npos;
  for (const char* fold : {"stddev", "stdvar", "deriv", "predict_linear"}) {
    out.few_digits = out.few_digits || (counters && out.text.find(fold) != std::string::npos);
  }
  return out;
}

}  // namespace weir::differential
