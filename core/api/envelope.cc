#include "core/api/envelope.h"

#include "core/api/json_writer.h"

#include <utility>

namespace weir::api {
namespace {

struct TypeRow {
  std::string_view text;
  int status;
};

TypeRow RowOf(ErrorType type) {
  switch (type) {
    case ErrorType::kBadData:
      return {"bad_data", 400};
    case ErrorType::kExecution:
      return {"execution", 422};
    case ErrorType::kTimeout:
      return {"timeout", 503};
    case ErrorType::kNotFound:
      return {"not_found", 404};
    case ErrorType::kUnavailable:
      return {"unavailable", 503};
    case ErrorType::kInternal:
      break;
  }
  return {"internal", 500};
}

void WriteTexts(JsonWriter& json, std::string_view key, const std::vector<std::string>& texts) {
  if (texts.empty()) {
    return;
  }
  json.Key(key).BeginArray();
  for (const std::string& text : texts) {
    json.String(text);
  }
  json.EndArray();
}

HttpResponse Json(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.content_type = "application/json";
  response.body = std::move(body);
  return response;
}

}  // namespace

HttpResponse Success(const std::string& data, const std::vector<std::string>& warnings,
                     const std::vector<std::string>& infos) {
  JsonWriter rest;
  rest.BeginObject();
  WriteTexts(rest, "warnings", warnings);
  WriteTexts(rest, "infos", infos);
  rest.EndObject();
  std::string body = R"({"status":"success","data":)" + data;
  if (rest.text().size() > 2) {
    body += "," + rest.text().substr(1);
  } else {
    body += "}";
  }
  return Json(200, std::move(body));
}

HttpResponse Failure(ErrorType type, std::string_view message) {
  const TypeRow row = RowOf(type);
  JsonWriter json;
  json.BeginObject().Field("status", "error").Field("errorType", row.text).Field("error", message).EndObject();
  return Json(row.status, json.Take());
}

HttpResponse PlainText(int status, std::string text) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(text);
  return response;
}

}  // namespace weir::api
