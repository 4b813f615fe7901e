# Rack with the middleware and the spelling of paths that Rails has: rack.rb <handler>
require "json"
require "rack"
require "rack/handler/#{ARGV.fetch(0)}"

ROUTES = {
  "POST /auth/login" => "login", "POST /auth/refresh" => "refresh", "POST /auth/logout" => "logout",
  "POST /oauth/token" => "oauth token", "POST /oauth/logout" => "oauth logout", "GET /status" => "public"
}.freeze
PREFIXES = {
  "/v1/cards" => "protected", "/api/v2/private" => "private", "/api/v2/public" => "rpc public", "/static" => "public"
}.freeze
TOKENS = { access_token: ENV.fetch("ACCESS"), refresh_token: ENV.fetch("REFRESH") }.freeze
ISSUED = JSON.generate({ success: true, data: TOKENS.merge(client_id: "issued"), token_type: "Bearer" }.merge(TOKENS))

# All strings within a value: brackets in names make arrays and hashes.
def strings(value)
  case value
  when nil then []
  when Hash then value.flat_map { |k, v| [k.to_s, *strings(v)] }
  when Array then value.flat_map { |v| strings(v) }
  else [value.to_s]
  end
end

def route(request)
  # As Rails does: doubled slashes are one, the last goes, and so does an extension.
  path = Rack::Utils.unescape_path(request.path_info.squeeze("/").delete_suffix("/")).scrub
  ROUTES.fetch("#{request.request_method} #{path.sub(/\.[^.\/]*\z/, "")}") do
    PREFIXES.each { |prefix, name| return name if path == prefix || path.start_with?("#{prefix}/") }
    "other"
  end
end

def read(request)
  body = request.body.read.to_s
  request.body.rewind
  document = begin
    JSON.parse(body)
  rescue JSON::ParserError, EncodingError
    nil
  end
  document = {} unless document.is_a?(Hash)
  params = document["params"]
  found = {
    "header Authorization" => request.get_header("HTTP_AUTHORIZATION"),
    "header X-Token" => request.get_header("HTTP_X_TOKEN"),
    "json params.access_token" => params.is_a?(Hash) ? params["access_token"] : nil
  }
  %w[token refresh_token access_token].each { |name| found["cookie #{name}"] = request.cookies[name] }
  %w[tok refresh_token access_token].each { |name| found["query #{name}"] = request.GET[name] }
  %w[refresh_token access_token].each do |name|
    found["form #{name}"] = request.POST[name]
    found["json #{name}"] = document[name]
  end
  found.transform_values { |v| strings(v).map { |s| s.dup.force_encoding("UTF-8").scrub } }.reject { |_, v| v.empty? }
end

app = lambda do |env|
  request = Rack::Request.new(env)
  begin
    report = JSON.generate(route: route(request), read: read(request))
  rescue StandardError => e # a client's mistake, as Rails sees it
    next [400, { "Content-Type" => "text/plain" }, [e.message.scrub]]
  end
  [200, { "Content-Type" => "application/json", "X-Report" => report.unpack1("H*") }, [ISSUED]]
end

Rack::Handler.get(ARGV.fetch(0)).run(
  Rack::MethodOverride.new(app), Host: "127.0.0.1", Port: Integer(ENV.fetch("PORT")), Silent: true, AccessLog: []
)
