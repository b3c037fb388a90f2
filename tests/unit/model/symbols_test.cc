#include "core/model/symbols.h"

#include "core/model/label_set_places.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

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
  table.Collect([&](LabelMarks* marks) { marks->Add(alive); }, std::array{kept});
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
    table.Collect(
        [&](LabelMarks* marks) {
          for (const auto& [text, entry] : model) {
            marks->Add(entry.first);
          }
        },
        {});
    ASSERT_EQ(table.sets(), model.size() + 1);
    for (const auto& [text, entry] : model) {
      ASSERT_EQ(table.ToLabels(entry.first), entry.second);
      ASSERT_EQ(table.InternSet(entry.second), entry.first);
    }
  }
}

// Sets and symbols come in every yield of the sweep: new ones, ones that are alive, ones that nobody holds any more whether or not the
// sweep has got to them. All of them stay, and what nobody has asked for goes.
TEST(LabelSetTable, InternedBetweenPiecesOfTheSweep) {
  LabelSetTable table;
  std::mt19937 random(3);
  std::map<std::string, std::pair<LabelSetId, Labels>> model;
  const auto intern = [&](const Labels& labels) {
    const LabelSetId id = table.InternSet(labels);
    const auto [at, fresh] = model.try_emplace(labels.ToString(), id, labels);
    ASSERT_EQ(at->second.first, id);
    ASSERT_EQ(table.ToLabels(id), labels);
  };
  const auto some = [&random](uint32_t instances) {
    return Labels{{"__name__", "m" + std::to_string(random() % 7)},
                  {"instance", "host-" + std::to_string(random() % instances)},
                  {"schema" + std::to_string(random() % 700), "short"},
                  {"text", std::string(random() % 100 == 0 ? 20000 : 1, static_cast<char>('a' + random() % 26))}};
  };
  for (int round = 0; round < 12; ++round) {
    const uint32_t instances = round % 3 == 0 ? 20000 : 200;  // floods that go again, too
    for (int i = 0; i < 8000; ++i) {
      intern(some(instances));
    }
    std::vector<Labels> dead;
    std::erase_if(model, [&](const auto& entry) {
      if (random() % 4 == 0) {
        return false;
      }
      dead.push_back(entry.second.second);
      return true;
    });
    size_t yields = 0;
    const auto yield = [&] {
      ++yields;
      for (int i = 0; i < 3; ++i) {
        intern(some(instances));
        intern(dead[random() % dead.size()]);
        if (!model.empty()) {
          intern(std::next(model.begin(), static_cast<long>(random() % std::min<size_t>(model.size(), 50)))
                     ->second.second);
        }
      }
      // Nothing that is there is lost or another's.
      const auto& [id, labels] = model.begin()->second;
      ASSERT_EQ(table.ToLabels(id), labels);
    };
    const std::vector<std::pair<std::string, std::pair<LabelSetId, Labels>>> held(model.begin(), model.end());
    table.Collect(
        [&](LabelMarks* marks) {
          for (const auto& [text, entry] : held) {
            marks->Add(entry.first);
          }
        },
        {}, yield);
    ASSERT_GT(yields, 30u);
    ASSERT_EQ(table.sets(), model.size() + 1);
    std::set<std::string> texts{""};
    for (const auto& [text, entry] : model) {
      ASSERT_EQ(table.ToLabels(entry.first), entry.second);
      ASSERT_EQ(table.InternSet(entry.second), entry.first);
      for (const LabelView& label : entry.second) {
        texts.emplace(label.name);
        texts.emplace(label.value);
      }
    }
    // What came in for a set that is alive is alive; nothing else is.
    ASSERT_EQ(table.symbols(), texts.size());
  }
}

// A symbol that was interned in a yield and no set uses lives until the next sweep, not longer.
TEST(LabelSetTable, SymbolsInternedBetweenPiecesOutliveOneSweep) {
  LabelSetTable table;
  for (int i = 0; i < 2000; ++i) {
    table.Intern("gone-" + std::to_string(i));
  }
  SymbolId young = kEmptySymbol;
  const auto none = [](LabelMarks*) {};
  table.Collect(none, {}, [&] { young = young == kEmptySymbol ? table.Intern("gone-1999") : young; });
  EXPECT_EQ(table.Find("gone-1999"), young);
  EXPECT_EQ(table.symbols(), 2u);
  table.Collect(none, {});
  EXPECT_EQ(table.symbols(), 1u);
}

// No piece of the sweep is longer than what it does to some 500 ids, however many there are: as many pieces as that makes.
TEST(LabelSetTable, TheSweepIsCutIntoPieces) {
  constexpr size_t kIdsPerPieceMax = 512;
  constexpr uint32_t kSets = 100000;
  LabelSetTable table;
  std::vector<LabelSetId> alive;
  for (uint32_t i = 0; i < kSets; ++i) {
    const LabelSetId id = table.InternSet(Labels{{"__name__", "m"}, {"i", std::to_string(i)}});
    if (i < kSets / 2 && i % 2 == 0) {
      alive.push_back(id);
    }
  }
  size_t pieces = 1;
  size_t sets = table.sets();
  size_t symbols = table.symbols();
  size_t bytes = table.bytes();
  const auto yield = [&] {
    ++pieces;
    ASSERT_LE(sets - table.sets(), kIdsPerPieceMax);
    ASSERT_LE(symbols - table.symbols(), kIdsPerPieceMax);
    constexpr size_t kBytesPerPieceMax = 600 << 10;  // some chunks of an arena
    ASSERT_LE(bytes - std::min(bytes, table.bytes()), kBytesPerPieceMax);
    sets = table.sets();
    symbols = table.symbols();
    bytes = table.bytes();
  };
  table.Collect(
      [&](LabelMarks* marks) {
        for (const LabelSetId id : alive) {
          marks->Add(id);
        }
      },
      {}, yield);
  yield();
  EXPECT_EQ(table.sets(), alive.size() + 1);
  EXPECT_LT(table.bytes(), 3000000u);
  // Sets and symbols are gone through, moved, and cut off at the end.
  EXPECT_GT(pieces, 5 * kSets / kIdsPerPieceMax);
}

TEST(LabelSetPlaces, ManyGrowInParts) {
  LabelSetPlaces places;
  constexpr uint32_t kPlaces = 100000;
  for (uint32_t i = 0; i < kPlaces; ++i) {
    ASSERT_EQ(places.Find(7 * i), LabelSetPlaces::kNoPlace);
    ASSERT_EQ(places.FindOrSet(7 * i, i), i);
    ASSERT_EQ(places.FindOrSet(7 * i, i + 1), i);
  }
  for (uint32_t i = 0; i < kPlaces; ++i) {
    ASSERT_EQ(places.Find(7 * i), i);
    ASSERT_EQ(places.Find(7 * i + 1), LabelSetPlaces::kNoPlace);
  }
  places.Set(7, 3);
  EXPECT_EQ(places.Find(7), 3u);
  EXPECT_LT(places.Bytes(), kPlaces * 24);
  places.Clear();
  EXPECT_EQ(places.Find(7), LabelSetPlaces::kNoPlace);
  EXPECT_LT(places.Bytes(), 200u);
}

// Values take as many bytes as the largest of their set needs, and keep them when what is alive moves together.
TEST(LabelSetTable, SymbolsOfAnyWidth) {
  LabelSetTable table;
  const SymbolId a = table.Intern("a");
  const SymbolId b = table.Intern("b");
  constexpr SymbolId kValues[] = {1, 0xff, 0x100, 0xffff, 0x10000, 0xffffff, 0x1000000, 0x1234567};
  std::map<std::pair<SymbolId, SymbolId>, LabelSetId> sets;
  for (const SymbolId x : kValues) {
    for (const SymbolId y : kValues) {
      sets[{x, y}] = table.InternSet(std::array{LabelPair{a, x}, LabelPair{b, y}});
    }
  }
  for (SymbolId gone = 1; gone < 200000; ++gone) {
    table.InternSet(std::array{LabelPair{a, gone}, LabelPair{b, gone}, LabelPair{table.Intern("c"), gone}});
  }
  const auto check = [&] {
    for (const auto& [values, id] : sets) {
      EXPECT_EQ(table.Value(id, a), values.first);
      EXPECT_EQ(table.Value(id, b), values.second);
      EXPECT_EQ(table.InternSet(std::array{LabelPair{a, values.first}, LabelPair{b, values.second}}), id);
    }
  };
  check();
  const size_t before = table.bytes();
  table.Collect(
      [&](LabelMarks* marks) {
        for (const auto& [values, id] : sets) {
          marks->Add(id);
        }
      },
      std::array{a, b});
  EXPECT_LT(table.bytes(), before / 4);
  check();
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
