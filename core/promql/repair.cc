#include "core/promql/repair.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "core/model/labels.h"
#include "core/promql/functions.h"

namespace weir::promql {
namespace {

// What a range gets when none was written: long enough for the usual scrape intervals.
constexpr std::string_view kUsualRange = "[5m]";

std::string Slice(std::string_view text, PositionRange pos) {
  return std::string(text.substr(static_cast<size_t>(pos.start), static_cast<size_t>(pos.end - pos.start)));
}

std::string JoinLabels(const std::vector<std::string>& labels) {
  std::string out;
  for (const std::string& label : labels) {
    out.append(out.empty() ? "" : ", ").append(IsLegacyLabelName(label) ? label : GoQuote(label));
  }
  return out;
}

std::string Grouped(std::string_view op, bool without, const std::vector<std::string>& labels,
                    const std::string& body) {
  return std::string(op) + (without ? " without (" : " by (") + JoinLabels(labels) + ") (" + body + ")";
}

// RETURNS: `sum` for sum_over_time, "" when no aggregation has the function's name.
std::string_view AggregationOf(std::string_view function) {
  constexpr std::string_view kSuffix = "_over_time";
  if (!function.ends_with(kSuffix)) {
    return "";
  }
  const std::string_view name = function.substr(0, function.size() - kSuffix.size());
  for (const AggregateOp op : {AggregateOp::kSum, AggregateOp::kAvg, AggregateOp::kCount, AggregateOp::kMin,
                               AggregateOp::kMax, AggregateOp::kStddev, AggregateOp::kStdvar}) {
    if (AggregateOpText(op) == name) {
      return name;
    }
  }
  return "";
}

// histogram_quantile(q, v) by (l): the buckets have to be summed before the quantile is taken, and keep `le`.
std::string GroupedQuantile(std::string_view text, const Call& call, bool without, std::vector<std::string> labels) {
  const Expr& buckets = *call.args[1];
  std::string body = Slice(text, buckets.pos);
  if (buckets.kind == ExprKind::kAggregate && As<AggregateExpr>(buckets).op == AggregateOp::kSum) {
    body = Slice(text, As<AggregateExpr>(buckets).expr->pos);
  }
  std::erase(labels, kBucketLabel);
  if (!without) {
    labels.insert(labels.begin(), std::string(kBucketLabel));
  }
  return "histogram_quantile(" + Slice(text, call.args[0]->pos) + ", " + Grouped("sum", without, labels, body) + ")";
}

// How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b`.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1);  // the row two up, the row above, this row
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  std::iota(above.begin(), above.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({row[j - 1] + 1, above[j] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return out;
}

bool IsWordByte(char c) {
  return c == '_' || c == ':' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// `!x` and `x ! y`: between two operands `unless` was meant, in front of one its absence.
std::vector<Edit> RepairNot(std::string_view text, int pos) {
  size_t begin = static_cast<size_t>(pos) + 1;
  while (begin < text.size() && text[begin] == ' ') {
    ++begin;
  }
  size_t end = begin;
  while (end < text.size() && IsWordByte(text[end])) {
    ++end;
  }
  return {{pos, static_cast<int>(begin), "unless "},
          {pos, static_cast<int>(end), "absent(" + std::string(text.substr(begin, end - begin)) + ")"}};
}

bool LooksLikeCounter(std::string_view name) {
  constexpr std::array<std::string_view, 4> kSuffixes = {"_total", "_count", "_sum", "_bucket"};
  return std::any_of(kSuffixes.begin(), kSuffixes.end(), [&](std::string_view s) { return name.ends_with(s); });
}

}  // namespace

std::vector<Edit> RepairCharacter(std::string_view text, int pos) {
  const auto size = static_cast<int>(text.size());
  const std::string_view rest = text.substr(static_cast<size_t>(pos));
  if (rest.empty()) {
    std::vector<Edit> edits;
    for (const char* closing : {")", "]", "}"}) {
      edits.push_back({size, size, closing});
    }
    if (text.ends_with(')')) {
      edits.push_back({size - 1, size, ""});  // one too many
    }
    return edits;
  }
  const auto replace = [&](int length, std::string_view with) {
    // The word needs a space where it would run into a neighbour.
    const int end = pos + length;
    std::string word = pos > 0 && text[static_cast<size_t>(pos) - 1] != ' ' ? " " : "";
    word.append(with).append(end < size && text[static_cast<size_t>(end)] != ' ' ? " " : "");
    return std::vector<Edit>{{pos, end, word}};
  };
  if (rest.starts_with("&")) {
    return replace(rest.starts_with("&&") ? 2 : 1, "and");
  }
  if (rest.starts_with("|")) {
    return replace(rest.starts_with("||") ? 2 : 1, "or");
  }
  return rest.starts_with("!") ? RepairNot(text, pos) : std::vector<Edit>();
}

std::vector<Edit> RepairToken(std::string_view text, const Token& token) {
  if (token.kind == TokenKind::kEqual) {
    // `=>` and `=<` are the comparisons written the wrong way round.
    const std::string_view rest = text.substr(static_cast<size_t>(token.pos));
    if (rest.starts_with("=>") || rest.starts_with("=<")) {
      return {{token.pos, token.pos + 2, std::string{rest[1], '='}}};
    }
    return {{token.pos, token.pos + 1, "=="}, {token.pos, token.pos + 1, ""}};
  }
  if (token.kind == TokenKind::kRightParen) {
    return {{token.pos, token.pos, "]"}};  // `rate(x[5m)`
  }
  if (token.kind == TokenKind::kGreater && token.pos > 0 && text[static_cast<size_t>(token.pos) - 1] == '<') {
    return {{token.pos - 1, token.pos + 1, "!="}};
  }
  return {};
}

std::vector<Edit> RepairBareWord(const Token& token, std::string_view before, std::string_view after) {
  if (token.kind != TokenKind::kIdentifier && token.kind != TokenKind::kNumber) {
    return {};
  }
  return {{token.range().start, token.range().end, std::string(before) + std::string(token.text) + std::string(after)}};
}

std::vector<Edit> RepairGrouping(std::string_view text, const Expr& operand, bool without,
                                 const std::vector<std::string>& labels, int end) {
  const auto edit = [&](std::string with) { return std::vector<Edit>{{operand.pos.start, end, std::move(with)}}; };
  const std::string source = Slice(text, operand.pos);
  if (operand.kind == ExprKind::kParen) {
    return edit(Grouped("sum", without, labels, Slice(text, As<ParenExpr>(operand).expr->pos)));
  }
  if (operand.kind != ExprKind::kCall || As<Call>(operand).function == nullptr) {
    return edit(Grouped("sum", without, labels, source));
  }
  const Call& call = As<Call>(operand);
  if (call.function->id == FunctionId::kHistogramQuantile && call.args.size() == 2) {
    return edit(GroupedQuantile(text, call, without, labels));
  }
  const std::string_view aggregation = AggregationOf(call.function->name);
  return edit(Grouped(aggregation.empty() ? "sum" : aggregation, without, labels, source));
}

std::vector<Edit> RepairFunctionName(const Token& name) {
  constexpr size_t kNearestMax = 3;  // further away it is a guess
  constexpr size_t kNameBytesMax = 64;
  std::string_view best;
  size_t best_distance = std::min(kNearestMax, name.text.size() / 3 + 1) + 1;
  const std::string lower = Lower(name.text.substr(0, kNameBytesMax));
  const auto consider = [&](std::string_view candidate) {
    const size_t distance = EditDistance(lower, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  };
  for (const FunctionSignature& function : AllFunctions()) {
    consider(function.name);
  }
  for (int op = 0; op <= static_cast<int>(AggregateOp::kLimitRatio); ++op) {
    consider(AggregateOpText(static_cast<AggregateOp>(op)));
  }
  if (best.empty()) {
    return {};
  }
  return {{name.range().start, name.range().end, std::string(best)}};
}

std::vector<Edit> RepairMissingRange(std::string_view text, const Expr& arg) {
  const std::string source = Slice(text, arg.pos);
  if (arg.kind == ExprKind::kVectorSelector) {
    VectorSelector bare = As<VectorSelector>(arg);
    bare.time = {};
    bare.anchored = false;
    bare.smoothed = false;
    const std::string whole = Print(arg);
    const std::string selector = Print(bare);
    // Offset, @ and the like stay behind the range.
    if (whole.size() == selector.size()) {
      return {{arg.pos.start, arg.pos.end, source + std::string(kUsualRange)}};
    }
    return {{arg.pos.start, arg.pos.end, selector + std::string(kUsualRange) + whole.substr(selector.size())}};
  }
  const bool closed = arg.kind == ExprKind::kCall || arg.kind == ExprKind::kAggregate || arg.kind == ExprKind::kParen;
  return {{arg.pos.start, arg.pos.end, (closed ? source : "(" + source + ")") + "[5m:]"}};
}

std::vector<Edit> RepairExtraRange(std::string_view text, const Expr& arg) {
  std::string_view function = "avg_over_time";
  const Expr& bare = Unparen(arg);
  if (bare.kind == ExprKind::kMatrixSelector && LooksLikeCounter(As<MatrixSelector>(bare).selector->name)) {
    function = "rate";
  }
  return {{arg.pos.start, arg.pos.end, std::string(function) + "(" + Slice(text, bare.pos) + ")"}};
}

}  // namespace weir::promql
