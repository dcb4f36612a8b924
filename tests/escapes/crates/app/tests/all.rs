fn main() {
    attacks::run("test");
}
