// Scalar nodes: literals, time(), scalar(), vector(), min_of/max_of.

#include <cmath>

#include "core/engine/nodes/nodes.h"

namespace weir::engine {
namespace {

using promql::ValueType;

class ConstantNode final : public Node {
 public:
  explicit ConstantNode(double value) : Node(ValueType::kScalar, {}) { scalar_ = value; }
  explicit ConstantNode(std::string text) : Node(ValueType::kString, {}) { text_ = std::move(text); }
  std::string Describe() const override { return "constant"; }
  bool HasBounds() const override { return true; }
  void Bound(const Horizon&, std::span<const Bounds* const>, Bounds* out) const override {
    out->slots.assign(1, type() == ValueType::kScalar ? Span::Of(scalar_) : Span::Any());
  }

 protected:
  void Compute(Context&) override {}
};

class TimeNode final : public Node {
 public:
  TimeNode() : Node(ValueType::kScalar, {}) {}
  std::string Describe() const override { return "time()"; }
  bool HasBounds() const override { return true; }
  void Bound(const Horizon& horizon, std::span<const Bounds* const>, Bounds* out) const override {
    Span span = Span::Of(static_cast<double>(horizon.from_ms) / 1000);
    span.Add(static_cast<double>(horizon.until_ms) / 1000);
    out->slots.assign(1, span);
  }

 protected:
  bool TimeDependent() const override { return true; }
  void Compute(Context& ctx) override { scalar_ = static_cast<double>(ctx.t_ms) / 1000; }
};

class TickTimeNode final : public Node {
 public:
  TickTimeNode() : Node(ValueType::kScalar, {}) {}
  std::string Describe() const override { return "start()"; }
  std::string_view WhyAtTicksOnly() const override { return "start() and end() are those of a tick"; }

 protected:
  uint64_t SourceVersion(Context& ctx) override { return static_cast<uint64_t>(ctx.query_ms); }
  void Compute(Context& ctx) override { scalar_ = static_cast<double>(ctx.query_ms) / 1000; }
};

class ScalarOfNode final : public Node {
 public:
  explicit ScalarOfNode(NodePtr vector) : Node(ValueType::kScalar, {std::move(vector)}) {}
  std::string Describe() const override { return "scalar()"; }
  bool HasBounds() const override { return true; }
  void Bound(const Horizon&, std::span<const Bounds* const> in, Bounds* out) const override {
    Span span = Span::Nothing();
    size_t may = 0;
    size_t sure = 0;
    for (const Span& of : in[0]->slots) {
      if (of.present()) {
        span.Add(of);
        ++may;
        sure += of.absent ? 0 : 1;
      }
    }
    span.absent = false;
    span.nan = span.nan || may != 1 || sure != 1;
    out->slots.assign(1, span);
  }
  // What the value may be asked to keep to is not known here: it stays where it is, and any other sample crosses.
  void Restrict(const Horizon&, std::span<const Bounds* const> in, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    for (size_t i = 0; i < in[0]->slots.size(); ++i) {
      (*keep_in[0])[i].Restrict(keep[0].nothing() ? keep[0] : in[0]->slots[i]);
    }
  }

 protected:
  void Compute(Context&) override {
    scalar_ = NormalNaN();
    size_t found = 0;
    for (size_t i = 0; i < input(0).size() && found < 2; ++i) {
      if (input(0).present()[i] && !input(0).histogram(i)) {
        scalar_ = input(0).values()[i];
        ++found;
      }
    }
    if (found != 1) {
      scalar_ = NormalNaN();
    }
  }
};

class VectorOfNode final : public Node {
 public:
  explicit VectorOfNode(NodePtr scalar) : Node(ValueType::kVector, {std::move(scalar)}) { one_name_ = true; }
  std::string Describe() const override { return "vector()"; }
  bool HasBounds() const override { return true; }
  void Bound(const Horizon&, std::span<const Bounds* const> in, Bounds* out) const override { *out = *in[0]; }
  // A scalar stays where it is by itself, as far as it can.
  void Restrict(const Horizon&, std::span<const Bounds* const>, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    if (!keep.empty() && keep[0].nothing()) {
      RestrictAll(keep, keep_in);
    }
  }

 protected:
  void Extend(Context&) override {
    if (labels_.empty()) {
      AddSlot(kEmptyLabelSet, false);
    }
  }
  void Compute(Context&) override {
    ClearValues();
    values_[0] = input(0).scalar();
    present_[0] = 1;
  }
};

// timestamp() of anything but a selector: the evaluation time of each element.
class TimestampNode final : public Node {
 public:
  explicit TimestampNode(NodePtr vector) : Node(ValueType::kVector, {std::move(vector)}) {
    one_name_ = inputs_[0]->one_name();
  }
  std::string Describe() const override { return "timestamp()"; }

 protected:
  bool TimeDependent() const override { return true; }
  void Extend(Context& ctx) override {
    for (size_t i = labels_.size(); i < input(0).size(); ++i) {
      AddSlotDroppingName(ctx, input(0).labels(i));
      ctx.MayYieldNew(i);
    }
  }
  void Compute(Context& ctx) override {
    ClearValues();
    for (size_t i = 0; i < labels_.size(); ++i) {
      ctx.MayYield(i);
      if (input(0).present()[i]) {
        SetFloat(i, static_cast<double>(ctx.t_ms) / 1000);
      }
    }
    if (!one_name_) {
      CheckUnique(ctx);
    }
  }
};

class NothingNode final : public Node {
 public:
  explicit NothingNode(NodePtr vector) : Node(ValueType::kVector, {std::move(vector)}) { one_name_ = true; }
  std::string Describe() const override { return "nothing"; }

 protected:
  void Compute(Context&) override {}
};

class ScalarFunctionNode final : public Node {
 public:
  ScalarFunctionNode(std::string name, double (*f)(double, double), NodePtr a, NodePtr b)
      : Node(ValueType::kScalar, {std::move(a), std::move(b)}), name_(std::move(name)), f_(f) {}
  std::string Describe() const override { return name_; }

 protected:
  void Compute(Context&) override { scalar_ = f_(input(0).scalar(), input(1).scalar()); }

 private:
  std::string name_;
  double (*f_)(double, double);
};

}  // namespace

NodePtr MakeNumber(double value) { return std::make_shared<ConstantNode>(value); }
NodePtr MakeString(std::string text) { return std::make_shared<ConstantNode>(std::move(text)); }
NodePtr MakeTime() { return std::make_shared<TimeNode>(); }
NodePtr MakeTickTime() { return std::make_shared<TickTimeNode>(); }
NodePtr MakeScalarOf(NodePtr vector) { return std::make_shared<ScalarOfNode>(std::move(vector)); }
NodePtr MakeNothing(NodePtr vector) { return std::make_shared<NothingNode>(std::move(vector)); }
NodePtr MakeTimestamp(NodePtr vector) { return std::make_shared<TimestampNode>(std::move(vector)); }
NodePtr MakeVectorOf(NodePtr scalar) { return std::make_shared<VectorOfNode>(std::move(scalar)); }
NodePtr MakeScalarFunction(std::string name, double (*f)(double, double), NodePtr a, NodePtr b) {
  return std::make_shared<ScalarFunctionNode>(std::move(name), f, std::move(a), std::move(b));
}

}  // namespace weir::engine
