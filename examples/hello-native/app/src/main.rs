fn main() {
    let greeting = greet::GREETING;
    println!("{} (crc32 {:08x})", loud::shout!("hello from a build script"), checksum::crc32(greeting.as_bytes()));
}
