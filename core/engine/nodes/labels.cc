// label_replace and label_join: slot permutations whose labels are made once per series.

#include <re2/re2.h>

#include "core/engine/nodes/nodes.h"
#include "core/model/regexp.h"

namespace weir::engine {
namespace {

using promql::ValueType;

// Slots are those of input 0 with one label written.
class RelabelNode : public Node {
 public:
  RelabelNode(NodePtr vector, std::string destination)
      : Node(ValueType::kVector, {std::move(vector)}), destination_(std::move(destination)) {
    one_name_ = inputs_[0]->one_name() && destination_ != kMetricName;
  }
  bool HasBounds() const override { return true; }
  void Bound(const Horizon&, std::span<const Bounds* const> in, Bounds* out) const override { *out = *in[0]; }
  void Restrict(const Horizon&, std::span<const Bounds* const>, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    RestrictSame(keep, keep_in[0]);
  }

 protected:
  // RETURNS: the new value, or false to leave the label alone.
  virtual bool NewValue(Context& ctx, LabelSetId labels, std::string* value) = 0;

  void Extend(Context& ctx) override {
    if (!static_error_.ok()) {
      return;
    }
    for (size_t i = labels_.size(); i < input(0).size(); ++i) {
      LabelSetId labels = input(0).labels(i);
      bool drop = input(0).drop_name(i);
      std::string value;
      if (NewValue(ctx, labels, &value)) {
        labels = ctx.labels().With(labels, ctx.labels().Intern(destination_), ctx.labels().Intern(value));
        drop = drop && destination_ != kMetricName;
      }
      AddSlot(labels, drop);
      ctx.MayYieldNew(i);
    }
  }
  void Compute(Context& ctx) override {
    if (!static_error_.ok()) {
      SetError(static_error_);
      return;
    }
    TakeValues(ctx, input(0));
    CheckUnique(ctx, true);
  }

  std::string destination_;
  Status static_error_;
};

class LabelReplaceNode final : public RelabelNode {
 public:
  LabelReplaceNode(NodePtr vector, std::string destination, std::string replacement, std::string source,
                   const std::string& regex)
      : RelabelNode(std::move(vector), std::move(destination)),
        replacement_(std::move(replacement)),
        source_(std::move(source)) {
    re2::RE2::Options options(re2::RE2::Quiet);
    regex_ = std::make_unique<re2::RE2>("^(?s:" + regex + ")$", options);
    if (!regex_->ok()) {
      static_error_ = InvalidError("invalid regular expression in label_replace(): " + regex);
    } else if (destination_.empty() || !IsValidUtf8(destination_)) {
      static_error_ = InvalidError("invalid destination label name in label_replace(): " + destination_);
    }
  }
  std::string Describe() const override { return "label_replace"; }

 protected:
  bool NewValue(Context& ctx, LabelSetId labels, std::string* value) override {
    SymbolId source = ctx.labels().Find(source_);
    std::string_view text =
        source == kEmptySymbol ? std::string_view() : ctx.labels().Text(ctx.labels().Value(labels, source));
    RegexpGroups groups;
    if (!MatchRegexp(*regex_, text, 0, &groups)) {
      return false;
    }
    value->clear();
    AppendExpanded(*regex_, replacement_, groups, value);
    return true;
  }

 private:
  std::string replacement_;
  std::string source_;
  std::unique_ptr<re2::RE2> regex_;
};

class LabelJoinNode final : public RelabelNode {
 public:
  LabelJoinNode(NodePtr vector, std::string destination, std::string separator, std::vector<std::string> sources)
      : RelabelNode(std::move(vector), std::move(destination)),
        separator_(std::move(separator)),
        sources_(std::move(sources)) {
    if (destination_.empty() || !IsValidUtf8(destination_)) {
      static_error_ = InvalidError("invalid destination label name in label_join(): " + destination_);
    }
    for (const std::string& source : sources_) {
      if (static_error_.ok() && (source.empty() || !IsValidUtf8(source))) {
        static_error_ = InvalidError("invalid source label name in label_join(): " + source);
      }
    }
  }
  std::string Describe() const override { return "label_join"; }

 protected:
  bool NewValue(Context& ctx, LabelSetId labels, std::string* value) override {
    for (size_t i = 0; i < sources_.size(); ++i) {
      if (i > 0) {
        *value += separator_;
      }
      SymbolId source = ctx.labels().Find(sources_[i]);
      if (source != kEmptySymbol) {
        *value += ctx.labels().Text(ctx.labels().Value(labels, source));
      }
    }
    return true;
  }

 private:
  std::string separator_;
  std::vector<std::string> sources_;
};

}  // namespace

NodePtr MakeLabelReplace(NodePtr vector, const std::string& destination, const std::string& replacement,
                         const std::string& source, const std::string& regex) {
  return std::make_shared<LabelReplaceNode>(std::move(vector), destination, replacement, source, regex);
}

NodePtr MakeLabelJoin(NodePtr vector, const std::string& destination, const std::string& separator,
                      const std::vector<std::string>& sources) {
  return std::make_shared<LabelJoinNode>(std::move(vector), destination, separator, sources);
}

}  // namespace weir::engine
