<?php
// PHP as its superglobals read a request: php -S 127.0.0.1:<port> router.php

// All strings within a value: brackets in names make arrays.
function strings($value): array
{
    if ($value === null) {
        return [];
    }
    if (!is_array($value)) {
        return [(string) $value];
    }
    $all = [];
    foreach ($value as $name => $member) {
        array_push($all, (string) $name, ...strings($member));
    }
    return $all;
}

// Symfony up to 4.1 and Zend Framework take the address from these.
$uri = $_SERVER['HTTP_X_ORIGINAL_URL'] ?? $_SERVER['HTTP_X_REWRITE_URL'] ?? $_SERVER['REQUEST_URI'];
$path = parse_url($uri, PHP_URL_PATH);
$path = is_string($path) ? rtrim(rawurldecode($path), '/') : '';
// Symfony and Laravel let a POST say that it is another method.
$method = $_SERVER['REQUEST_METHOD'];
if ($method === 'POST') {
    $method = strtoupper($_SERVER['HTTP_X_HTTP_METHOD_OVERRIDE'] ?? (is_string($_POST['_method'] ?? null) ? $_POST['_method'] : $method));
}
$routes = [
    'POST /auth/login' => 'login', 'POST /auth/refresh' => 'refresh', 'POST /auth/logout' => 'logout',
    'POST /oauth/token' => 'oauth token', 'POST /oauth/logout' => 'oauth logout', 'GET /status' => 'public',
];
$route = $routes["$method $path"] ?? 'other';
foreach (['/v1/cards' => 'protected', '/api/v2/private' => 'private', '/api/v2/public' => 'rpc public', '/static' => 'public'] as $prefix => $name) {
    if ($path === $prefix || str_starts_with($path, "$prefix/")) {
        $route = $name;
    }
}

$headers = array_change_key_case(getallheaders());
$json = json_decode(file_get_contents('php://input'), true);
$json = is_array($json) ? $json : [];
$read = [
    'header Authorization' => [$headers['authorization'] ?? null, $_SERVER['HTTP_AUTHORIZATION'] ?? null],
    'header X-Token' => [$headers['x-token'] ?? null, $_SERVER['HTTP_X_TOKEN'] ?? null],
];
foreach (['token', 'refresh_token', 'access_token'] as $name) {
    $read["cookie $name"] = $_COOKIE[$name] ?? null;
}
foreach (['tok', 'refresh_token', 'access_token'] as $name) {
    $read["query $name"] = $_GET[$name] ?? null;
}
foreach (['refresh_token', 'access_token'] as $name) {
    $read["form $name"] = $_POST[$name] ?? null;
    $read["json $name"] = $json[$name] ?? null;
}
$read['json params.access_token'] = is_array($json['params'] ?? null) ? $json['params']['access_token'] ?? null : null;
$found = array_filter(array_map('strings', $read));
$report = json_encode(['route' => $route, 'read' => (object) $found], JSON_INVALID_UTF8_SUBSTITUTE);
header('X-Report: ' . bin2hex($report));
header('Content-Type: application/json');
$tokens = ['access_token' => getenv('ACCESS'), 'refresh_token' => getenv('REFRESH')];
echo json_encode(['success' => true, 'data' => $tokens + ['client_id' => 'issued']] + $tokens + ['token_type' => 'Bearer']);
