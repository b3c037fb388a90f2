// The `kafka` source: a consumer group on librdkafka, which this file alone includes. One thread polls, decodes and submits;
// nothing ever keeps it from polling, because a consumer that does not poll is thrown out of its group. When the engine's
// queue is full the batch is kept, all partitions are paused, and polling goes on until there is room.
//
// Offsets are committed only up to what the engine has applied. Each partition is a stream of its own for the watermarks; one
// that has been read to its end says so, so that an idle partition holds no tick. With `start: window` every newly assigned
// partition is read again from as far back as the rules look, and the process holds back results of the past meanwhile.

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <librdkafka/rdkafka.h>

#include "core/base/log.h"
#include "core/base/shared_library.h"
#include "core/plugin/plugin.h"
#include "plugins/sources/kafka/offset_tracker.h"
#include "plugins/sources/kafka/payload_decoder.h"

namespace weir::plugin {

namespace {

constexpr int kPollMs = 100;
constexpr int kPollHeldMs = 10;  // while batches wait for room in the queue
constexpr int64_t kHousekeepMs = 250;
constexpr int64_t kCommitMs = 1000;
constexpr int64_t kProbeMs = 5000;
constexpr int64_t kRewindMs = 500;   // pause before a refused message is read again
constexpr int kLookupMs = 10000;     // one request to a broker when partitions are assigned
constexpr int64_t kReopenMs = 5000;  // after a fatal error
constexpr int64_t kCloseMs = 10000;
constexpr int64_t kSeekMarginMs = 30000;  // producers' clocks may be behind ours
constexpr size_t kHeldMax = 16;           // messages of one partition that wait here; more are read again later
constexpr int64_t kLogEveryMs = 60000;    // of one kind of complaint

constexpr OptionRow kRows[] = {
    {"brokers", OptionType::kStringList, "", "Addresses (host:port) of some brokers of the cluster.", true},
    {"topics", OptionType::kStringList, "", "Topics to read; a name that begins with ^ is a pattern.", true},
    {"group", OptionType::kString, "weir", "Consumer group; members of one group share the partitions."},
    {"payload", OptionType::kEnum, "auto",
     "What messages hold: remote-write 1.0 bodies (snappy), JSON of prometheus-kafka-adapter, or either, decided for "
     "each message.",
     false, "auto|remote_write|json"},
    {"start", OptionType::kEnum, "window",
     "Where to begin: window reads again as far back as any rule looks, so that windows are whole after a start; "
     "earliest and latest go on at the "
     "committed offset and, without one, begin there.",
     false, "window|earliest|latest"},
    {"idle_after", OptionType::kDuration, "10s",
     "A partition that has been read to its end counts as complete up to this long ago; producers may be late by as "
     "much."},
    {"rdkafka", OptionType::kMap, "",
     "Further settings of librdkafka by their own names, for tuning, TLS and SASL; values are never logged."},
};

// Settings that this source must decide itself, and why or what to use instead.
constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kOwnSettings = {{
    {"bootstrap.servers", "use the option brokers"},
    {"metadata.broker.list", "use the option brokers"},
    {"group.id", "use the option group"},
    {"auto.offset.reset", "use the option start"},
    {"enable.auto.commit", "offsets are committed when their samples have been applied"},
    {"auto.commit.enable", "offsets are committed when their samples have been applied"},
    {"enable.auto.offset.store", "offsets are committed when their samples have been applied"},
    {"auto.commit.interval.ms", "offsets are committed every second"},
    {"enable.partition.eof", "it is needed to tell that a partition is idle"},
    {"offset.store.method", "offsets are kept by the brokers"},
}};

// librdkafka, opened when the first source of this kind is configured.
struct Rdkafka {
  SharedLibrary opened{"librdkafka.so.1"};
  WEIR_LIBRARY_FUNCTION(rd_kafka_assign);
  WEIR_LIBRARY_FUNCTION(rd_kafka_assignment_lost);
  WEIR_LIBRARY_FUNCTION(rd_kafka_commit);
  WEIR_LIBRARY_FUNCTION(rd_kafka_conf_destroy);
  WEIR_LIBRARY_FUNCTION(rd_kafka_conf_new);
  WEIR_LIBRARY_FUNCTION(rd_kafka_conf_set);
  WEIR_LIBRARY_FUNCTION(rd_kafka_conf_set_error_cb);
  WEIR_LIBRARY_FUNCTION(rd_kafka_conf_set_log_cb);
  WEIR_LIBRARY_FUNCTION(rd_kafka_conf_set_offset_commit_cb);
  WEIR_LIBRARY_FUNCTION(rd_kafka_conf_set_opaque);
  WEIR_LIBRARY_FUNCTION(rd_kafka_conf_set_rebalance_cb);
  WEIR_LIBRARY_FUNCTION(rd_kafka_consumer_close_queue);
  WEIR_LIBRARY_FUNCTION(rd_kafka_consumer_closed);
  WEIR_LIBRARY_FUNCTION(rd_kafka_consumer_poll);
  WEIR_LIBRARY_FUNCTION(rd_kafka_destroy);
  WEIR_LIBRARY_FUNCTION(rd_kafka_destroy_flags);
  WEIR_LIBRARY_FUNCTION(rd_kafka_err2name);
  WEIR_LIBRARY_FUNCTION(rd_kafka_err2str);
  WEIR_LIBRARY_FUNCTION(rd_kafka_error_code);
  WEIR_LIBRARY_FUNCTION(rd_kafka_error_destroy);
  WEIR_LIBRARY_FUNCTION(rd_kafka_error_string);
  WEIR_LIBRARY_FUNCTION(rd_kafka_fatal_error);
  WEIR_LIBRARY_FUNCTION(rd_kafka_get_watermark_offsets);
  WEIR_LIBRARY_FUNCTION(rd_kafka_incremental_assign);
  WEIR_LIBRARY_FUNCTION(rd_kafka_incremental_unassign);
  WEIR_LIBRARY_FUNCTION(rd_kafka_message_destroy);
  WEIR_LIBRARY_FUNCTION(rd_kafka_message_errstr);
  WEIR_LIBRARY_FUNCTION(rd_kafka_new);
  WEIR_LIBRARY_FUNCTION(rd_kafka_offsets_for_times);
  WEIR_LIBRARY_FUNCTION(rd_kafka_pause_partitions);
  WEIR_LIBRARY_FUNCTION(rd_kafka_poll_set_consumer);
  WEIR_LIBRARY_FUNCTION(rd_kafka_query_watermark_offsets);
  WEIR_LIBRARY_FUNCTION(rd_kafka_queue_destroy);
  WEIR_LIBRARY_FUNCTION(rd_kafka_queue_get_consumer);
  WEIR_LIBRARY_FUNCTION(rd_kafka_queue_poll_callback);
  WEIR_LIBRARY_FUNCTION(rd_kafka_rebalance_protocol);
  WEIR_LIBRARY_FUNCTION(rd_kafka_resume_partitions);
  WEIR_LIBRARY_FUNCTION(rd_kafka_seek_partitions);
  WEIR_LIBRARY_FUNCTION(rd_kafka_subscribe);
  WEIR_LIBRARY_FUNCTION(rd_kafka_topic_name);
  WEIR_LIBRARY_FUNCTION(rd_kafka_topic_partition_list_add);
  WEIR_LIBRARY_FUNCTION(rd_kafka_topic_partition_list_destroy);
  WEIR_LIBRARY_FUNCTION(rd_kafka_topic_partition_list_find);
  WEIR_LIBRARY_FUNCTION(rd_kafka_topic_partition_list_new);
};

Rdkafka& Lib() {
  static Rdkafka rdkafka;
  return rdkafka;
}

struct ConfDeleter {
  void operator()(rd_kafka_conf_t* conf) const { Lib().rd_kafka_conf_destroy(conf); }
};
struct ListDeleter {
  void operator()(rd_kafka_topic_partition_list_t* list) const { Lib().rd_kafka_topic_partition_list_destroy(list); }
};
struct MessageDeleter {
  void operator()(rd_kafka_message_t* message) const { Lib().rd_kafka_message_destroy(message); }
};
using Conf = std::unique_ptr<rd_kafka_conf_t, ConfDeleter>;
using PartitionList = std::unique_ptr<rd_kafka_topic_partition_list_t, ListDeleter>;
using Message = std::unique_ptr<rd_kafka_message_t, MessageDeleter>;

PartitionList NewList(size_t size) {
  return PartitionList(Lib().rd_kafka_topic_partition_list_new(static_cast<int>(size)));
}

std::string Joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) {
    out += (out.empty() ? "" : ",") + part;
  }
  return out;
}

// librdkafka repeats a refused value in its message; only values that cannot be a secret may be shown.
bool MayShow(std::string_view setting) {
  for (std::string_view secret : {"password", "secret", "key", "token", "oauthbearer", "username", "jaas"}) {
    if (setting.find(secret) != std::string_view::npos) {
      return false;
    }
  }
  return true;
}

Status SetConf(rd_kafka_conf_t* conf, const std::string& name, const std::string& value, std::string_view where) {
  char error[512];
  if (Lib().rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error) == RD_KAFKA_CONF_OK) {
    return {};
  }
  return InvalidError(std::string(where) + ": option \"rdkafka\": " +
                      (MayShow(name) ? std::string(error) : "librdkafka refuses the value of \"" + name + "\""));
}

Status CheckKafka(const OptionValues& values) {
  WEIR_RETURN_IF_ERROR(Lib().opened.status().WithPrefix(values.where + ": "));
  for (std::string_view list : {"brokers", "topics"}) {
    for (const std::string& entry : values.List(list)) {
      if (entry.empty() || entry.find(',') != std::string::npos) {
        return InvalidError(values.where + ": option \"" + std::string(list) + "\": want one entry for each, got \"" +
                            entry + "\"");
      }
    }
    if (values.List(list).empty()) {
      return InvalidError(values.where + ": option \"" + std::string(list) + "\": want at least one entry, got none");
    }
  }
  if (values.String("group").empty()) {
    return InvalidError(values.where + ": option \"group\": want a name, got \"\"");
  }
  Conf scratch(Lib().rd_kafka_conf_new());
  for (const auto& [name, value] : values.Map("rdkafka")) {
    for (const auto& [own, instead] : kOwnSettings) {
      if (name == own) {
        return InvalidError(values.where + ": option \"rdkafka\": \"" + name +
                            "\" cannot be set here: " + std::string(instead));
      }
    }
    WEIR_RETURN_IF_ERROR(SetConf(scratch.get(), name, value, values.where));
  }
  return {};
}

class KafkaSource final : public Source {
 public:
  explicit KafkaSource(const OptionValues& values)
      : where_(values.where),
        brokers_(Joined(values.List("brokers"))),
        topics_(values.List("topics")),
        group_(values.String("group")),
        payload_(values.String("payload")),
        start_(values.String("start")),
        idle_after_ms_(values.Int("idle_after")),
        settings_(values.Map("rdkafka")),
        catch_up_name_("kafka/" + group_ + "/" + Joined(topics_)) {}
  ~KafkaSource() override { Stop(); }

  Status Start(SourceHost& host) override {
    host_ = &host;
    WEIR_ASSIGN_OR_RETURN(PayloadDecoder decoder,
                          PayloadDecoder::Create(payload_, where_, host.type_and_unit_labels()));
    decoder_.emplace(std::move(decoder));
    MakeMetrics();
    WEIR_RETURN_IF_ERROR(Open());
    if (start_ == "window") {
      BeginCatchUp();
    }
    thread_ = std::thread([this] { Run(); });
    return {};
  }

  void Stop() override {
    stop_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
    if (rk_ != nullptr) {
      Close();
    }
  }

 private:
  using OffsetTracker = kafka::OffsetTracker;
  using PayloadDecoder = kafka::PayloadDecoder;
  using PartitionKey = std::pair<std::string, int32_t>;

  struct Held {
    SampleBatch batch;
    int64_t offset = 0;
    uint64_t epoch = 0;
  };
  struct Partition {
    std::string stream;
    // Shared with completions, which may come after the partition was revoked.
    std::shared_ptr<OffsetTracker> tracker = std::make_shared<OffsetTracker>();
    std::deque<Held> held;
    int64_t position = -1;  // offset of the next message to come
    int64_t committed = -1;
    int64_t catch_up_to = -1;  // end of the partition when it was assigned; -1 = nothing to catch up with
    int64_t refused_ms = 0;    // when a message was refused, until it is read again
    bool at_end = false;
    bool probe = false;  // a connection was lost: whether we are at the end is not known
    Gauge* lag = nullptr;
  };
  struct TopicMetrics {
    Counter* messages = nullptr;
    Counter* bytes = nullptr;
    Counter* bad_records = nullptr;
    Counter* undecodable = nullptr;
    Counter* empty = nullptr;
  };

  // --- the consumer ---

  Status Open() {
    Conf conf(Lib().rd_kafka_conf_new());
    for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
             {"bootstrap.servers", brokers_},
             {"group.id", group_},
             {"client.id", "weir"},
             {"partition.assignment.strategy", "cooperative-sticky"},
             {"enable.auto.commit", "false"},
             {"enable.auto.offset.store", "false"},
             {"enable.partition.eof", "true"},
             {"auto.offset.reset", start_ == "latest" ? "latest" : "earliest"},
             {"queued.max.messages.kbytes", "16384"},
         }) {
      WEIR_RETURN_IF_ERROR(SetConf(conf.get(), name, value, where_));
    }
    for (const auto& [name, value] : settings_) {
      WEIR_RETURN_IF_ERROR(SetConf(conf.get(), name, value, where_));
    }
    Lib().rd_kafka_conf_set_opaque(conf.get(), this);
    Lib().rd_kafka_conf_set_rebalance_cb(
        conf.get(), [](rd_kafka_t*, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t* list, void* self) {
          static_cast<KafkaSource*>(self)->OnRebalance(error, list);
        });
    Lib().rd_kafka_conf_set_error_cb(conf.get(), [](rd_kafka_t*, int error, const char* reason, void* self) {
      static_cast<KafkaSource*>(self)->OnError(static_cast<rd_kafka_resp_err_t>(error), reason);
    });
    Lib().rd_kafka_conf_set_offset_commit_cb(
        conf.get(), [](rd_kafka_t*, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t*, void* self) {
          static_cast<KafkaSource*>(self)->CountCommit(error);
        });
    Lib().rd_kafka_conf_set_log_cb(
        conf.get(), [](const rd_kafka_t*, int level, const char* facility, const char* text) {
          // Lost connections (level 3) come again and again; OnError says them at a bearable rate.
          Log(level <= 2 ? LogLevel::kWarn : LogLevel::kDebug, "librdkafka", {{"facility", facility}, {"text", text}});
        });
    char error[512];
    rk_ = Lib().rd_kafka_new(RD_KAFKA_CONSUMER, conf.get(), error, sizeof error);
    if (rk_ == nullptr) {
      return InvalidError(where_ + ": kafka: " + error);
    }
    (void)conf.release();  // rd_kafka_new took it
    Lib().rd_kafka_poll_set_consumer(rk_);
    PartitionList subscription = NewList(topics_.size());
    for (const std::string& topic : topics_) {
      Lib().rd_kafka_topic_partition_list_add(subscription.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t subscribed = Lib().rd_kafka_subscribe(rk_, subscription.get());
    if (subscribed != RD_KAFKA_RESP_ERR_NO_ERROR) {
      Lib().rd_kafka_destroy(rk_);
      rk_ = nullptr;
      return InvalidError(where_ + ": option \"topics\": " + Lib().rd_kafka_err2str(subscribed) + ", got \"" +
                          Joined(topics_) + "\"");
    }
    return {};
  }

  // Leaves the group, committing what was applied. librdkafka 2.0 has been seen to hang in destroy after a cooperative
  // rebalance; a process that shall end must not wait for that, so closing has a thread and a limit.
  void Close() {
    rd_kafka_queue_t* queue = Lib().rd_kafka_queue_get_consumer(rk_);
    rd_kafka_error_t* error = Lib().rd_kafka_consumer_close_queue(rk_, queue);
    int64_t deadline_ns = host_->clock().MonotonicNs() + kCloseMs * 1000000;
    while (error == nullptr && Lib().rd_kafka_consumer_closed(rk_) == 0 && host_->clock().MonotonicNs() < deadline_ns) {
      Lib().rd_kafka_queue_poll_callback(queue, kPollMs);
    }
    if (error != nullptr) {
      Lib().rd_kafka_error_destroy(error);
    }
    Lib().rd_kafka_queue_destroy(queue);
    DropAllPartitions();
    auto destroyed = std::make_shared<std::atomic<bool>>(false);
    std::thread destroyer([rk = rk_, destroyed] {
      Lib().rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
      *destroyed = true;
    });
    rk_ = nullptr;
    while (!*destroyed && host_->clock().MonotonicNs() < deadline_ns) {
      host_->clock().SleepMs(1);
    }
    if (*destroyed) {
      destroyer.join();
    } else {
      destroyer.detach();
      LogWarn("the Kafka client does not end; it is left behind");
    }
  }

  void Run() {
    while (!stop_) {
      Consume();
      if (stop_) {
        break;
      }
      // A fatal error: the client is of no further use, a new one may be.
      Close();
      for (int64_t waited_ms = 0; waited_ms < kReopenMs && !stop_; waited_ms += kPollMs) {
        host_->clock().SleepMs(kPollMs);
      }
      if (Status status = Open(); !status.ok()) {
        LogError("the Kafka client cannot be made again", {{"error", std::string(status.message())}});
        break;
      }
    }
  }

  // RETURNS: when stopped or after a fatal error.
  void Consume() {
    fatal_ = false;
    int64_t housekept_ms = 0;
    while (!stop_ && !fatal_) {
      Message message(Lib().rd_kafka_consumer_poll(rk_, paused_ ? kPollHeldMs : kPollMs));
      if (message != nullptr) {
        OnMessage(*message);
      }
      if (paused_) {
        RetryHeld();
      }
      int64_t now_ms = host_->clock().MonotonicNs() / 1000000;
      if (now_ms - housekept_ms >= kHousekeepMs) {
        housekept_ms = now_ms;
        Housekeep(now_ms);
      }
    }
  }

  // --- messages ---

  void OnMessage(const rd_kafka_message_t& message) {
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR && message.err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      OnError(message.err, Lib().rd_kafka_message_errstr(&message));
      return;
    }
    std::string topic = Lib().rd_kafka_topic_name(message.rkt);
    auto at = partitions_.find(PartitionKey(topic, message.partition));
    if (at == partitions_.end()) {
      return;  // revoked meanwhile
    }
    Partition& partition = at->second;
    if (partition.refused_ms != 0) {
      return;  // will be read again, in order, after the one that was refused
    }
    partition.probe = false;
    if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      partition.at_end = true;
      partition.position = message.offset;
      Advance(partition);
      return;
    }
    partition.at_end = false;
    if (partition.held.size() >= kHeldMax) {
      SeekTo(at->first, message.offset);
      return;
    }
    partition.position = message.offset + 1;
    Take(topic, partition, message);
  }

  void Take(const std::string& topic, Partition& partition, const rd_kafka_message_t& message) {
    TopicMetrics& metrics = MetricsOf(topic);
    metrics.messages->Add();
    metrics.bytes->Add(message.len);
    Held held;
    held.offset = message.offset;
    held.epoch = partition.tracker->Sent(message.offset);
    Status status;
    if (message.payload == nullptr || message.len == 0) {
      metrics.empty->Add();
    } else {
      held.batch = host_->TakeBatch();
      status = decoder_->Decode({static_cast<const char*>(message.payload), message.len}, &held.batch);
      metrics.bad_records->Add(held.batch.bad_records);
    }
    if (!status.ok()) {
      metrics.undecodable->Add();
      held.batch.Clear();
      Complain("undecodable/" + topic, "a Kafka message cannot be decoded and is skipped",
               {{"topic", topic},
                {"partition", std::to_string(message.partition)},
                {"offset", std::to_string(message.offset)},
                {"error", std::string(status.message())}});
    }
    if (held.batch.samples.empty() && held.batch.histograms.empty()) {
      partition.tracker->Done(held.offset, held.epoch);
      return;
    }
    if (!partition.held.empty() || !Offer(partition, held)) {
      partition.held.push_back(std::move(held));
      Pause();
    }
  }

  // RETURNS: false when there is no room; the batch is still the caller's then.
  bool Offer(Partition& partition, Held& held) {
    return host_->Submit(
        std::move(held.batch), partition.stream,
        [tracker = partition.tracker, offset = held.offset, epoch = held.epoch](const IngestOutcome& outcome) {
          if (outcome.overloaded) {
            tracker->Refused(offset, epoch);
          } else {
            tracker->Done(offset, epoch);
          }
        });
  }

  void RetryHeld() {
    bool any = false;
    for (auto& [key, partition] : partitions_) {
      while (!partition.held.empty() && Offer(partition, partition.held.front())) {
        partition.held.pop_front();
      }
      any = any || !partition.held.empty();
    }
    if (!any) {
      Lib().rd_kafka_resume_partitions(rk_, ListOfAll().get());
      paused_ = false;
    }
  }

  void Pause() {
    if (!paused_) {
      paused_ = true;
      pauses_->Add();
      Lib().rd_kafka_pause_partitions(rk_, ListOfAll().get());
      for (auto& [key, partition] : partitions_) {
        partition.at_end = false;  // nothing is fetched, so nothing is known; resuming tells it again
      }
    }
  }

  void SeekTo(const PartitionKey& key, int64_t offset) {
    PartitionList list = NewList(1);
    Lib().rd_kafka_topic_partition_list_add(list.get(), key.first.c_str(), key.second)->offset = offset;
    rd_kafka_error_t* error = Lib().rd_kafka_seek_partitions(rk_, list.get(), kLookupMs);
    if (error != nullptr) {
      OnError(Lib().rd_kafka_error_code(error), Lib().rd_kafka_error_string(error));
      Lib().rd_kafka_error_destroy(error);
    }
  }

  PartitionList ListOfAll() const {
    PartitionList list = NewList(partitions_.size());
    for (const auto& [key, partition] : partitions_) {
      Lib().rd_kafka_topic_partition_list_add(list.get(), key.first.c_str(), key.second);
    }
    return list;
  }

  // --- what is done now and then ---

  void Housekeep(int64_t now_ms) {
    bool probe_now = now_ms - probed_ms_ >= kProbeMs && !paused_;
    PartitionList probes = NewList(1);
    for (auto& [key, partition] : partitions_) {
      RewindIfRefused(key, partition, now_ms);
      if (partition.at_end && !partition.probe) {
        Advance(partition);
      }
      if (partition.probe && probe_now) {
        Lib().rd_kafka_topic_partition_list_add(probes.get(), key.first.c_str(), key.second);
      }
      int64_t low = 0, high = 0;
      if (partition.position >= 0 &&
          Lib().rd_kafka_get_watermark_offsets(rk_, key.first.c_str(), key.second, &low, &high) ==
              RD_KAFKA_RESP_ERR_NO_ERROR &&
          high >= 0) {
        partition.lag->Set(static_cast<double>(std::max<int64_t>(0, high - partition.position)));
      }
    }
    if (probes->cnt > 0) {
      // The end of a partition is told once; a paused and resumed partition is told it again.
      Lib().rd_kafka_pause_partitions(rk_, probes.get());
      Lib().rd_kafka_resume_partitions(rk_, probes.get());
      probed_ms_ = now_ms;
    }
    if (now_ms - committed_ms_ >= kCommitMs) {
      committed_ms_ = now_ms;
      Commit(ListToCommit(nullptr), true);
    }
    CheckCatchUp();
  }

  void Advance(Partition& partition) {
    host_->AdvanceStream(partition.stream, host_->clock().NowMs() - idle_after_ms_);
  }

  // The engine could not look at a message (a limit held it back): read on from it once more, after a pause.
  void RewindIfRefused(const PartitionKey& key, Partition& partition, int64_t now_ms) {
    if (partition.refused_ms != 0) {
      if (now_ms - partition.refused_ms >= kRewindMs) {
        partition.refused_ms = 0;
        SeekTo(key, partition.position);
      }
      return;
    }
    int64_t offset = partition.tracker->TakeRewind();
    if (offset >= 0) {
      rewinds_->Add();
      partition.held.clear();
      partition.position = offset;
      partition.refused_ms = now_ms;
      partition.at_end = false;
    }
  }

  // RETURNS: the offsets that were applied and are not committed; of `only` these partitions, or of all.
  PartitionList ListToCommit(const rd_kafka_topic_partition_list_t* only) {
    PartitionList list = NewList(partitions_.size());
    for (auto& [key, partition] : partitions_) {
      int64_t next = partition.tracker->Next();
      bool wanted = only == nullptr ||
                    Lib().rd_kafka_topic_partition_list_find(const_cast<rd_kafka_topic_partition_list_t*>(only),
                                                             key.first.c_str(), key.second) != nullptr;
      if (wanted && next >= 0 && next != partition.committed) {
        Lib().rd_kafka_topic_partition_list_add(list.get(), key.first.c_str(), key.second)->offset = next;
        partition.committed = next;
      }
    }
    return list;
  }

  void Commit(const PartitionList& list, bool async) {
    if (list->cnt == 0) {
      return;
    }
    rd_kafka_resp_err_t error = Lib().rd_kafka_commit(rk_, list.get(), async ? 1 : 0);
    if (!async || error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      CountCommit(error);
    }
  }

  // An offset that was not committed is committed with the next one; at worst messages are read twice, which changes nothing.
  void CountCommit(rd_kafka_resp_err_t error) {
    if (error == RD_KAFKA_RESP_ERR__NO_OFFSET) {
      return;
    }
    (error == RD_KAFKA_RESP_ERR_NO_ERROR ? commits_ok_ : commits_failed_)->Add();
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      Complain("commit", "offsets could not be committed", {{"error", Lib().rd_kafka_err2str(error)}});
    }
  }

  // --- catching up ---

  void BeginCatchUp() {
    if (!catching_up_) {
      catching_up_ = true;
      host_->BeginCatchUp(catch_up_name_);
    }
  }

  void CheckCatchUp() {
    if (!catching_up_ || !assignment_known_) {
      return;
    }
    for (auto& [key, partition] : partitions_) {
      // Once past its old end a partition counts, however much new input is on its way; control records may hide the end.
      bool past = partition.catch_up_to < 0 || partition.tracker->Next() >= partition.catch_up_to;
      bool drained = (partition.at_end || partition.position >= partition.catch_up_to) &&
                     partition.tracker->outstanding() == 0 && partition.held.empty() && partition.refused_ms == 0;
      if (!past && !drained) {
        return;
      }
    }
    catching_up_ = false;
    host_->CatchUpDone(catch_up_name_);
    LogInfo("the Kafka topics have been read again", {{"partitions", std::to_string(partitions_.size())}});
  }

  // Sets the offsets to start from: the first message of the time from which rules still see samples.
  void SeekToWindow(rd_kafka_topic_partition_list_t* list, int64_t since_ms) {
    for (int i = 0; i < list->cnt; ++i) {
      list->elems[i].offset = since_ms;
    }
    rd_kafka_resp_err_t error = Lib().rd_kafka_offsets_for_times(rk_, list, kLookupMs);
    for (int i = 0; i < list->cnt; ++i) {
      rd_kafka_topic_partition_t& element = list->elems[i];
      int64_t low = 0, high = -1;
      rd_kafka_resp_err_t ends =
          Lib().rd_kafka_query_watermark_offsets(rk_, element.topic, element.partition, &low, &high, kLookupMs);
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR || element.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        // Too much is safe, too little is not.
        OnError(error != RD_KAFKA_RESP_ERR_NO_ERROR ? error : element.err,
                "where the window begins is not known: the partition is read from its begin");
        element.offset = RD_KAFKA_OFFSET_BEGINNING;
      } else if (element.offset == RD_KAFKA_OFFSET_END && ends == RD_KAFKA_RESP_ERR_NO_ERROR) {
        element.offset = high;  // nothing is that young: go on at the end that is known, so that nothing slips between
      }
      Partition& partition = partitions_.find(PartitionKey(element.topic, element.partition))->second;
      partition.catch_up_to = ends == RD_KAFKA_RESP_ERR_NO_ERROR && element.offset != high ? high : -1;
    }
  }

  // --- group membership; called from inside a poll ---

  void OnRebalance(rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t* list) {
    bool cooperative = std::string_view(Lib().rd_kafka_rebalance_protocol(rk_)) == "COOPERATIVE";
    rd_kafka_error_t* failed = nullptr;
    rd_kafka_resp_err_t eager_failed = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
      OnAssign(list);
      if (cooperative) {
        failed = Lib().rd_kafka_incremental_assign(rk_, list);
      } else {
        eager_failed = Lib().rd_kafka_assign(rk_, list);
      }
      if (paused_) {
        Lib().rd_kafka_pause_partitions(rk_, list);
      }
    } else {
      OnRevoke(list);
      if (cooperative) {
        failed = Lib().rd_kafka_incremental_unassign(rk_, list);
      } else {
        eager_failed = Lib().rd_kafka_assign(rk_, nullptr);
      }
    }
    if (failed != nullptr) {
      OnError(Lib().rd_kafka_error_code(failed), Lib().rd_kafka_error_string(failed));
      Lib().rd_kafka_error_destroy(failed);
    }
    if (eager_failed != RD_KAFKA_RESP_ERR_NO_ERROR) {
      OnError(eager_failed, Lib().rd_kafka_err2str(eager_failed));
    }
    assigned_->Set(static_cast<double>(partitions_.size()));
  }

  void OnAssign(rd_kafka_topic_partition_list_t* list) {
    rebalances_assigned_->Add();
    assignment_known_ = true;
    for (int i = 0; i < list->cnt; ++i) {
      const rd_kafka_topic_partition_t& element = list->elems[i];
      std::string number = std::to_string(element.partition);
      Partition partition;
      partition.stream = "kafka/" + std::string(element.topic) + "/" + number;
      partition.lag = &host_->metrics().GetGauge("weir_kafka_lag",
                                                 "Messages between what has been read and the end of the partition.",
                                                 {{"topic", element.topic}, {"partition", number}});
      partitions_.insert_or_assign(PartitionKey(element.topic, element.partition), std::move(partition));
    }
    if (start_ == "window" && list->cnt > 0) {
      BeginCatchUp();
      int64_t since_ms = host_->clock().NowMs() - host_->LongestWindowMs() - kSeekMarginMs;
      // All streams are named before the first batch, so that none runs ahead of one that is not known yet.
      for (int i = 0; i < list->cnt; ++i) {
        host_->AdvanceStream(
            partitions_.find(PartitionKey(list->elems[i].topic, list->elems[i].partition))->second.stream, since_ms);
      }
      SeekToWindow(list, since_ms);
    }
    LogInfo("Kafka partitions assigned", {{"group", group_}, {"partitions", std::to_string(list->cnt)}});
  }

  void OnRevoke(const rd_kafka_topic_partition_list_t* list) {
    bool lost = Lib().rd_kafka_assignment_lost(rk_) != 0;
    (lost ? rebalances_lost_ : rebalances_revoked_)->Add();
    if (!lost) {
      Commit(ListToCommit(list), false);
    }
    for (int i = 0; i < list->cnt; ++i) {
      DropPartition(PartitionKey(list->elems[i].topic, list->elems[i].partition));
    }
    if (list->cnt > 0) {
      LogInfo("Kafka partitions revoked",
              {{"group", group_}, {"partitions", std::to_string(list->cnt)}, {"lost", lost ? "true" : "false"}});
    }
  }

  void DropPartition(const PartitionKey& key) {
    auto at = partitions_.find(key);
    if (at != partitions_.end()) {
      host_->CloseStream(at->second.stream);
      at->second.lag->Set(0);
      partitions_.erase(at);
      // What is left to this member, if anything, the next assignment tells, be it empty.
      assignment_known_ = assignment_known_ && !partitions_.empty();
    }
  }

  void DropAllPartitions() {
    while (!partitions_.empty()) {
      DropPartition(PartitionKey(partitions_.begin()->first));
    }
    paused_ = false;
    assigned_->Set(0);
  }

  // --- errors and metrics ---

  void OnError(rd_kafka_resp_err_t error, const std::string& reason) {
    if (error == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      return;  // comes here while closing
    }
    host_->metrics()
        .GetCounter("weir_kafka_errors_total", "Errors that the Kafka client reported, by code.",
                    {{"code", Lib().rd_kafka_err2name(error)}})
        .Add();
    if (error == RD_KAFKA_RESP_ERR__FATAL) {
      fatal_ = true;
      char text[512];
      rd_kafka_resp_err_t why = Lib().rd_kafka_fatal_error(rk_, text, sizeof text);
      LogError("the Kafka client failed for good; it is made again",
               {{"code", Lib().rd_kafka_err2name(why)}, {"error", text}});
      return;
    }
    if (error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
      for (auto& [key, partition] : partitions_) {
        partition.probe = partition.probe || partition.at_end;
      }
    }
    Complain(Lib().rd_kafka_err2name(error), "Kafka reports an error",
             {{"code", Lib().rd_kafka_err2name(error)}, {"error", reason}});
  }

  // Says each kind of complaint once a minute at most.
  void Complain(const std::string& kind, std::string_view message, std::initializer_list<LogField> fields) {
    int64_t now_ms = host_->clock().MonotonicNs() / 1000000;
    auto [at, first] = complained_ms_.try_emplace(kind, now_ms);
    if (first || now_ms - at->second >= kLogEveryMs) {
      at->second = now_ms;
      LogWarn(message, fields);
    }
  }

  void MakeMetrics() {
    MetricRegistry& metrics = host_->metrics();
    auto rebalances = [&](const char* event) {
      return &metrics.GetCounter("weir_kafka_rebalances_total",
                                 "Changes of this member's partitions, by what happened.", {{"event", event}});
    };
    rebalances_assigned_ = rebalances("assigned");
    rebalances_revoked_ = rebalances("revoked");
    rebalances_lost_ = rebalances("lost");
    assigned_ = &metrics.GetGauge("weir_kafka_assigned_partitions", "Partitions that this member reads.");
    pauses_ =
        &metrics.GetCounter("weir_kafka_pauses_total", "How often reading paused because the engine's queue was full.");
    rewinds_ = &metrics.GetCounter("weir_kafka_rewinds_total",
                                   "How often a partition was read again from a message that a limit held back.");
    commits_ok_ =
        &metrics.GetCounter("weir_kafka_commits_total", "Commits of offsets, by outcome.", {{"outcome", "ok"}});
    commits_failed_ =
        &metrics.GetCounter("weir_kafka_commits_total", "Commits of offsets, by outcome.", {{"outcome", "failed"}});
  }

  TopicMetrics& MetricsOf(const std::string& topic) {
    auto at = topic_metrics_.find(topic);
    if (at != topic_metrics_.end()) {
      return at->second;
    }
    MetricRegistry& metrics = host_->metrics();
    MetricLabels labels = {{"topic", topic}};
    auto skipped = [&](const char* reason) {
      return &metrics.GetCounter("weir_kafka_messages_skipped_total", "Messages without any usable sample, by reason.",
                                 {{"topic", topic}, {"reason", reason}});
    };
    TopicMetrics made;
    made.messages = &metrics.GetCounter("weir_kafka_messages_total", "Messages read.", labels);
    made.bytes = &metrics.GetCounter("weir_kafka_message_bytes_total", "Bytes of the payloads read.", labels);
    made.bad_records = &metrics.GetCounter("weir_kafka_bad_records_total",
                                           "Parts of messages that were skipped as malformed.", labels);
    made.undecodable = skipped("undecodable");
    made.empty = skipped("empty");
    return topic_metrics_.emplace(topic, made).first->second;
  }

  const std::string where_;
  const std::string brokers_;
  const std::vector<std::string> topics_;
  const std::string group_;
  const std::string payload_;
  const std::string start_;
  const int64_t idle_after_ms_;
  const std::map<std::string, std::string> settings_;
  const std::string catch_up_name_;

  SourceHost* host_ = nullptr;
  std::optional<PayloadDecoder> decoder_;
  rd_kafka_t* rk_ = nullptr;
  std::map<PartitionKey, Partition> partitions_;  // poll thread
  std::map<std::string, TopicMetrics> topic_metrics_;
  std::map<std::string, int64_t> complained_ms_;
  bool paused_ = false;
  bool fatal_ = false;
  bool catching_up_ = false;
  bool assignment_known_ = false;  // having no partition may mean that the group is being joined
  int64_t committed_ms_ = 0;
  int64_t probed_ms_ = 0;

  Counter* rebalances_assigned_ = nullptr;
  Counter* rebalances_revoked_ = nullptr;
  Counter* rebalances_lost_ = nullptr;
  Counter* pauses_ = nullptr;
  Counter* rewinds_ = nullptr;
  Counter* commits_ok_ = nullptr;
  Counter* commits_failed_ = nullptr;
  Gauge* assigned_ = nullptr;

  std::atomic<bool> stop_{false};
  std::thread thread_;
};

std::unique_ptr<Source> MakeKafka(const OptionValues& values) { return std::make_unique<KafkaSource>(values); }

}  // namespace

extern const Plugin kafka_source;
const Plugin kafka_source = {
    .kind = PluginKind::kSource,
    .name = "kafka",
    .help = "Reads topics of metrics (remote-write bodies or JSON samples) as a member of a consumer group.",
    .options = kRows,
    .make_source = MakeKafka,
    .validate = CheckKafka,
};

}  // namespace weir::plugin
