#include "core/model/symbols.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>

namespace weir {
namespace {

TEST(LabelSetTable, EqualSetsHaveEqualIds) {
  LabelSetTable table;
  const SymbolId a = table.Intern("a");
  const SymbolId b = table.Intern("b");
  const SymbolId x = table.Intern("x");
  EXPECT_EQ(table.Intern("a"), a);
  EXPECT_EQ(table.Find("a"), a);
  EXPECT_EQ(table.Find("nope"), kEmptySymbol);
  EXPECT_EQ(table.Intern(""), kEmptySymbol);
  const LabelSetId ab = table.InternSet(std::array{LabelPair{b, x}, LabelPair{a, x}});
  EXPECT_EQ(table.InternSet(std::array{LabelPair{a, x}, LabelPair{x, kEmptySymbol}, LabelPair{b, x}}), ab);
  EXPECT_EQ(table.InternSet(Labels{{"a", "x"}, {"b", "x"}}), ab);
  EXPECT_EQ(table.InternSet(Labels{}), kEmptyLabelSet);
  EXPECT_EQ(table.ToLabels(ab).ToString(), R"({a="x", b="x"})");
  EXPECT_EQ(table.Value(ab, b), x);
  EXPECT_EQ(table.Value(ab, x), kEmptySymbol);
}

TEST(LabelSetTable, DerivedSets) {
  LabelSetTable table;
  const LabelSetId abc = table.InternSet(Labels{{"a", "1"}, {"b", "2"}, {"c", "3"}});
  const SymbolId a = table.Find("a");
  const SymbolId c = table.Find("c");
  const auto text = [&](LabelSetId id) { return table.ToLabels(id).ToString(); };
  EXPECT_EQ(text(table.Without(abc, std::array{c, a})), R"({b="2"})");
  EXPECT_EQ(text(table.Keep(abc, std::array{c, a})), R"({a="1", c="3"})");
  EXPECT_EQ(table.Keep(abc, {}), kEmptyLabelSet);
  EXPECT_EQ(table.Without(abc, {}), abc);
  EXPECT_EQ(text(table.With(abc, table.Intern("bb"), table.Intern("new"))), R"({a="1", b="2", bb="new", c="3"})");
  EXPECT_EQ(text(table.With(abc, a, table.Intern("9"))), R"({a="9", b="2", c="3"})");
  EXPECT_EQ(text(table.With(abc, a, kEmptySymbol)), R"({b="2", c="3"})");
  const size_t sets = table.sets();
  const LabelPair changes[] = {{a, kEmptySymbol}, {table.Intern("d"), table.Intern("4")}, {c, table.Intern("5")}};
  EXPECT_EQ(text(table.With(abc, changes)), R"({b="2", c="5", d="4"})");
  EXPECT_EQ(table.sets(), sets + 1) << "none in between";
  EXPECT_EQ(table.With(abc, std::span<const LabelPair>()), abc);
}

TEST(LabelSetTable, TextLeavesOutALabel) {
  LabelSetTable table;
  const Labels labels{{"__name__", "x"}, {"a", std::string(300, 'v')}, {"b", std::string(70000, 'w')}};
  const LabelSetId id = table.InternSet(labels);
  EXPECT_EQ(table.ToLabels(id), labels);
  Labels without = labels;
  without.Remove("__name__");
  EXPECT_EQ(table.ToLabels(id, table.Find("__name__")), without);
  EXPECT_EQ(table.ToLabels(id, table.Find("b")), (Labels{{"__name__", "x"}, {"a", std::string(300, 'v')}}));
  EXPECT_EQ(table.ToLabels(kEmptyLabelSet), Labels());
}

TEST(LabelSetTable, ComparesLikeLabels) {
  LabelSetTable table;
  // Interned in an order that is not their sort order.
  const std::vector<Labels> all = {{{"z", "1"}}, {{"a", "2"}}, {{"a", "1"}, {"b", "1"}}, {{"a", "1"}}, {}};
  for (const Labels& left : all) {
    for (const Labels& right : all) {
      EXPECT_EQ(table.Compare(table.InternSet(left), table.InternSet(right)), Labels::Compare(left, right))
          << left.ToString() << " " << right.ToString();
    }
  }
}

TEST(LabelSetTable, CollectFreesReusesAndKeeps) {
  LabelSetTable table;
  const SymbolId kept = table.Intern("kept");
  const SymbolId gone = table.Intern("gone");
  const LabelSetId alive = table.InternSet(Labels{{"a", "alive"}});
  const LabelSetId dead = table.InternSet(Labels{{"a", "dead"}});
  table.Collect([&](LabelSetId id) { return id == alive; }, std::array{kept});
  EXPECT_EQ(table.sets(), 2u);     // {} and `alive`
  EXPECT_EQ(table.symbols(), 4u);  // "", kept, a, alive
  EXPECT_EQ(table.Find("gone"), kEmptySymbol);
  EXPECT_EQ(table.Find("kept"), kept);
  EXPECT_EQ(table.ToLabels(alive).ToString(), R"({a="alive"})");
  const LabelSetId reused = table.InternSet(Labels{{"a", "other"}});
  EXPECT_EQ(reused, dead);
  EXPECT_TRUE(table.Intern("again") == gone || table.Find("other") == gone);
}

TEST(LabelSetTable, RandomChurnAgainstAMap) {
  LabelSetTable table;
  std::mt19937 random(7);
  std::map<std::string, std::pair<LabelSetId, Labels>> model;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 3000; ++i) {
      const std::string instance = "host-" + std::to_string(random() % 5000);
      const Labels labels{{"__name__", "m" + std::to_string(random() % 7)},
                          {"instance", instance},
                          {"long", random() % 500 == 0 ? std::string(40000, 'x') : "short"}};
      const LabelSetId id = table.InternSet(labels);
      const auto [at, fresh] = model.try_emplace(labels.ToString(), id, labels);
      ASSERT_EQ(at->second.first, id);
    }
    std::erase_if(model, [&](const auto&) { return random() % 2 == 0; });
    std::vector<bool> alive(1 << 20, false);
    for (const auto& [text, entry] : model) {
      alive[entry.first] = true;
    }
    table.Collect([&](LabelSetId id) { return alive[id]; }, {});
    ASSERT_EQ(table.sets(), model.size() + 1);
    for (const auto& [text, entry] : model) {
      ASSERT_EQ(table.ToLabels(entry.first), entry.second);
      ASSERT_EQ(table.InternSet(entry.second), entry.first);
    }
  }
}

TEST(LabelSetTable, HoldsSetsAndTextsLongerThanAChunk) {
  LabelSetTable table;
  std::vector<Label> labels;
  for (int i = 0; i < 70000; ++i) {
    labels.push_back({"l" + std::to_string(i), "v"});
  }
  const Labels wide(std::move(labels));
  const LabelSetId before = table.InternSet(Labels{{"a", "b"}});
  const LabelSetId id = table.InternSet(wide);
  const LabelSetId after = table.InternSet(Labels{{"a", std::string(1 << 20, 'y')}});
  EXPECT_EQ(table.ToLabels(id), wide);
  EXPECT_EQ(table.ToLabels(before).ToString(), R"({a="b"})");
  EXPECT_EQ(table.Text(table.Value(after, table.Find("a"))).size(), 1u << 20);
}

TEST(LabelSetTable, MemoryPerSet) {
  LabelSetTable table;
  constexpr size_t kSets = 100000;
  for (size_t i = 0; i < kSets; ++i) {
    table.InternSet(Labels{{"__name__", "m" + std::to_string(i % 50)},
                           {"instance", "i" + std::to_string(i / 50)},
                           {"job", "node"},
                           {"cluster", "c"},
                           {"region", "r"}});
  }
  // 5 pairs are 40 bytes; a symbol for every 50 sets is the rest. Vectors and hash tables may be grown to twice their
  // use.
  EXPECT_LT(table.bytes() / kSets, 40u + 40u);
}

}  // namespace
}  // namespace weir
