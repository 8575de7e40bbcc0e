// Loads compose files with the reference loader of the compose specification and prints the
// resolved project of the last one as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: check-compose ENV-FILE COMPOSE-FILE...")
		os.Exit(2)
	}
	for _, file := range os.Args[2:] {
		options, err := cli.NewProjectOptions([]string{file}, cli.WithEnvFiles(os.Args[1]), cli.WithDotEnv,
			cli.WithProfiles([]string{"*"}))
		if err == nil {
			project, problem := options.LoadProject(context.Background())
			if err = problem; err == nil {
				err = json.NewEncoder(os.Stdout).Encode(project)
			}
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
			os.Exit(1)
		}
	}
}
