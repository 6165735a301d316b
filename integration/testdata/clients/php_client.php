<?php
// What php-memcached can ask of a server. Usage: php_client.php ADDRESS [proxy]
$address = $argv[1];

function ok($good) {
    if (!$good) {
        fwrite(STDERR, "line " . debug_backtrace()[0]["line"] . "\n");
        exit(1);
    }
}

$c = new Memcached();
if ($address[0] == "/") {
    $c->addServer($address, 0);
} else {
    [$host, $port] = explode(":", $address);
    $c->addServer($host, (int)$port);
}
ok($c->flush());
ok($c->set("a", ["x" => [1, 2, 3]]) && $c->get("a") === ["x" => [1, 2, 3]]);
ok($c->get("nothing") === false && $c->getResultCode() == Memcached::RES_NOTFOUND);
ok(!$c->add("a", 1) && $c->getResultCode() == Memcached::RES_NOTSTORED);
ok($c->add("b", 10) && $c->replace("b", 11) && !$c->replace("nothing", 1));
ok($c->increment("b", 4) === 15 && $c->decrement("b") === 14 && $c->increment("nothing") === false);
$c->setOption(Memcached::OPT_COMPRESSION, false);
ok($c->set("s", "m") && $c->append("s", "n") && $c->prepend("s", "l") && $c->get("s") === "lmn");
$e = $c->get("s", null, Memcached::GET_EXTENDED);
ok($c->cas($e["cas"], "s", "new") && !$c->cas($e["cas"], "s", "newer") && $c->getResultCode() == Memcached::RES_DATA_EXISTS);
ok($c->touch("s", 100) && !$c->touch("nothing", 100));
ok($c->set("gone", 1, -1) && $c->get("gone") === false);
$many = [];
for ($i = 0; $i < 300; $i++) {
    $many["m$i"] = "v$i";
}
ok($c->setMulti($many) && $c->getMulti(array_merge(array_keys($many), ["nothing"])) === $many);
ok($c->getDelayed(["m1", "m2"], true) && count($c->fetchAll()) == 2);
ok($c->deleteMulti(["m1", "m2"]) == ["m1" => true, "m2" => true] && $c->get("m1") === false);
ok($c->delete("a") && !$c->delete("a"));
$large = str_repeat("0123456789", 90000);
ok($c->set("large", $large) && $c->get("large") === $large);
ok(!$c->set("large", str_repeat($large, 2)) && $c->get("large") === false);
$c->setOption(Memcached::OPT_NOREPLY, true);
for ($i = 0; $i < 200; $i++) {
    $c->set("q$i", $i);
    $c->delete("nothing");
}
$c->setOption(Memcached::OPT_NOREPLY, false);
while ($c->get("q199") === false); // no reply, so no promise when
ok($c->get("q7") === 7);
ok(strpos(array_values($c->getVersion())[0], "1.6.") === 0);
ok($c->flush() && $c->get("b") === false);
