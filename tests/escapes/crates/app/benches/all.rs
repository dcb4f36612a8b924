fn main() {
    attacks::run("bench");
}
